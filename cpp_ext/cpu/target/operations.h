// Common header of this folder. Its files are compiled once per target: they may use pointers, plain structs and
// templates over types of the target's namespace, but no containers or function objects of the standard library, of
// which the linker would keep the copy of one target for all.
#pragma once
#include "cpu/queue.h"
#include "ops/target_operations.h"
