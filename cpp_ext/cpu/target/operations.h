// What each file in this folder gives to the table of its target. Files here are compiled once per
// target: they may use pointers, plain structs and templates over types of this namespace, but no
// container or function object of the standard library (the linker would keep one target's copy of it
// for all of them).
#pragma once
#include "cpu/queue.h"
#include "solver/operations.h"

namespace mmreg::MMREG_TARGET {

void jacobian(Queue&, const float* u, Extent n, float* determinant);

}  // namespace mmreg::MMREG_TARGET
