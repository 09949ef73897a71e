// Iterates over a box, x fastest, in steps of a warp's threads: divides once, then carries.
#pragma once
#include "cuda/launch.h"

namespace mmreg::MMREG_TARGET {

constexpr int kWarpThreads = 32;

struct Odometer {
  int h, w;        // of the box
  int dz, dy, dx;  // components of a step
  int z, y, x;

  MMREG_DEVICE void next() {
    x += dx;
    y += dy;
    z += dz;
    if (x >= w) {
      x -= w;
      ++y;
    }
    if (y >= h) {
      y -= h;
      ++z;
    }
  }
};

MMREG_DEVICE inline Odometer odometer(int start, int h, int w) {
  return {h,        w, kWarpThreads / (h * w), kWarpThreads / w % h, kWarpThreads % w, start / (h * w), start / w % h,
          start % w};
}

}  // namespace mmreg::MMREG_TARGET
