// Smallest Jacobian determinants that remove_folds leaves in a result. Both are far above what rounding a displacement
// to float32 mm can undo, so that a result is free of folds after it is stored, too.
#pragma once

namespace mmreg {

constexpr float kLeastDeterminant = 0.02f;  // of a deformation
// Of the inverse, half as much: its determinant is one over that of the deformation, so the floor is reached only where
// the deformation expands a hundredfold, and every change to the inverse makes it a worse inverse.
constexpr float kLeastInverseDeterminant = 0.01f;

}  // namespace mmreg
