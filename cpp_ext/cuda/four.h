// Four floats that move between registers and memory at once; in memory, at a multiple of 16 bytes.
#pragma once

namespace mmreg::MMREG_TARGET {

struct alignas(16) Four {
  float v[4];
};

}  // namespace mmreg::MMREG_TARGET
