// core/differences.h, one voxel at a time.
#pragma once
// clang-format off: the order of these headers matters
#include "cuda/lane.h"
#include "core/differences.h"
// clang-format on
