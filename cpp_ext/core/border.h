// Border condition of filters: the image is extended by its border value.
#pragma once
#include "core/types.h"

namespace mmreg::MMREG_TARGET {

MMREG_INLINE int inside(int i, int n) { return i < 0 ? 0 : i < n ? i : n - 1; }

}  // namespace mmreg::MMREG_TARGET
