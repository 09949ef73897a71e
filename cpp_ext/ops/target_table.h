// Defines the table of a target from the functions in its namespace. Include it in one file of each processor.
#pragma once
#include "ops/target_operations.h"

#define MMREG_TEXT_(x) #x
#define MMREG_TEXT(x) MMREG_TEXT_(x)

namespace mmreg::MMREG_TARGET {

extern const Operations operations;
const Operations operations = {
    MMREG_TEXT(MMREG_TARGET),
    on_device,
    open,
#define MMREG_OPERATION(result, name, parameters) name,
#include "ops/op_list.h"
};

}  // namespace mmreg::MMREG_TARGET
