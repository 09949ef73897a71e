// core/differences.h, one voxel at a time.
#pragma once
// clang-format off: the second is written in terms of the first
#include "cuda/lane.h"
#include "core/differences.h"
// clang-format on
