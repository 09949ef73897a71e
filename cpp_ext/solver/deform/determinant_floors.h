// Smallest Jacobian determinants that remove_folds leaves in a result. Both are well above the effect of rounding a
// displacement to float32 mm, so that a stored result has no folds either.
#pragma once

namespace mmreg {

constexpr float kLeastDeterminant = 0.02f;  // of a deformation
// Half as much for the inverse: its determinant is the reciprocal of that of the deformation, so that this floor
// matters only where the deformation expands a hundredfold, and every change makes the inverse less accurate.
constexpr float kLeastInverseDeterminant = 0.01f;

}  // namespace mmreg
