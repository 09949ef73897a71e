// What the files in this folder have in common. They are compiled once per target: they may use pointers, plain structs
// and templates over types of this namespace, but no container or function object of the standard library (the linker
// would keep one target's copy of it for all of them).
#pragma once
#include "cpu/queue.h"
#include "ops/target_operations.h"
