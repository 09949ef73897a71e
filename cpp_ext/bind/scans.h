// Scans and affine maps on the border to Python.
#pragma once
#include <nanobind/stl/optional.h>

#include "bind/arrays.h"
#include "solver/align.h"

namespace mmreg::bind {

using Image = In<float, 3>;
using Matrix = In<double, 2>;

inline Scan scan(const Image& image, const Matrix& affine, const Mask& mask) {
  require(affine.shape(0) == 4 && affine.shape(1) == 4, "an affine must have shape (4, 4)");
  require(image.size() > 0, "a scan must have at least one voxel");
  Scan out{image.data(), extent(image, 0), {}, mask ? mask->data() : nullptr};
  for (int k = 0; k < 12; ++k) out.affine.m[k] = affine.data()[k];
  if (mask)
    for (int k = 0; k < 3; ++k) require(mask->shape(k) == image.shape(k), "a mask must have the shape of its scan");
  return out;
}

inline AlignKind align_kind(const std::string& name) {
  require(name == "none" || name == "rigid" || name == "affine", "align must be none, rigid or affine");
  return name == "none" ? AlignKind::none : name == "rigid" ? AlignKind::rigid : AlignKind::affine;
}

inline Out<double> matrix(const AffineMap& map) {
  Out<double> out = make<double>({4, 4});
  for (int k = 0; k < 16; ++k) out.data()[k] = k < 12 ? map.m[k] : (k == 15);
  return out;
}

}  // namespace mmreg::bind
