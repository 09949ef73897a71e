// Four floats, 16-byte aligned, for single loads and stores.
#pragma once

namespace mmreg::MMREG_TARGET {

struct alignas(16) Four {
  float v[4];
};

}  // namespace mmreg::MMREG_TARGET
