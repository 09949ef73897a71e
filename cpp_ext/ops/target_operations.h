// Declarations of the functions that the files of each processor define for the table of a target (target_table.h). A
// file is compiled once per target, into the target's namespace.
#pragma once
#include "ops/operations.h"

namespace mmreg::MMREG_TARGET {

Queue* open(int threads);
#define MMREG_OPERATION(result, name, parameters) result name parameters;
#include "ops/op_list.h"

}  // namespace mmreg::MMREG_TARGET
