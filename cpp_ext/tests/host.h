// A host of the C library: images on one grid, and the codes of its errors.
#pragma once
#include <cmath>
#include <string>
#include <vector>

#include "mmreg.h"

namespace mmreg::test {

constexpr int kSide = 40;

template <class Struct>
Struct sized() {
  Struct out{};
  out.struct_size = sizeof out;
  return out;
}

// Two bumps on a slice, or in a volume of `depth` slices of 1.5 mm, moved by `shift` voxels along w.
inline std::vector<float> bumps(int depth, double shift) {
  std::vector<float> values;
  for (int z = 0; z < depth; ++z)
    for (int y = 0; y < kSide; ++y)
      for (int x = 0; x < kSide; ++x) {
        const double a = z - 0.5 * (depth - 1), b = y - 18, c = x - 17 - shift;
        values.push_back(float(std::exp(-(a * a + b * b + c * c) / 60) +
                               0.7 * std::exp(-(a * a + (b - 8) * (b - 8) + (c - 5) * (c - 5)) / 20)));
      }
  return values;
}

inline mmreg_image image(const std::vector<float>& values, int depth = 1) {
  mmreg_image out = sized<mmreg_image>();
  out.data = values.data();
  out.shape[0] = depth;
  out.shape[1] = out.shape[2] = kSide;
  for (int k = 0; k < 3; ++k) out.affine[5 * k] = 1.5;
  out.affine[15] = 1;
  return out;
}

inline std::string code() { return mmreg_last_code(); }

}  // namespace mmreg::test
