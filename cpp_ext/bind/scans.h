// Conversions of scans and affine maps between Python and C++.
#pragma once
#include <nanobind/stl/optional.h>

#include "bind/arrays.h"
#include "ops/buffer.h"
#include "solver/align/align.h"

namespace mmreg::bind {

using HostImage = HostIn<float, 3>;
using Matrix = HostIn<double, 2>;

inline AffineMap affine_map(const Matrix& matrix) {
  require(matrix.shape(0) == 4 && matrix.shape(1) == 4, "an affine must have shape (4, 4)");
  AffineMap out;
  for (int k = 0; k < 12; ++k) out.m[k] = matrix.data()[k];
  return out;
}

template <class Array>
inline Scan scan(const Array& image, const Matrix& affine, const HostMask& mask) {
  require(image.size() > 0, "a scan must have at least one voxel");
  const Scan out{image.data(), extent(image, 0), affine_map(affine), mask ? mask->data() : nullptr};
  if (mask)
    for (int k = 0; k < 3; ++k) require(mask->shape(k) == image.shape(k), "a mask must have the shape of its scan");
  return out;
}

// A scan in the table's memory. Owns its copies on a device, where the image may already be.
class DeviceScan {
 public:
  DeviceScan(const Context& context, const Scan& scan, bool image_on_device = false) : scan_(scan) {
    if (!context.on_device()) return;
    if (!image_on_device) {
      image_ = Buffer<float>(context, scan.extent);
      image_.upload(scan.data);
      scan_.data = image_.data();
    }
    if (!scan.mask) return;
    mask_ = Buffer<std::uint8_t>(context, scan.extent);
    mask_.upload(scan.mask);
    scan_.mask = mask_.data();
  }
  const Scan& operator*() const { return scan_; }

 private:
  Buffer<float> image_;
  Buffer<std::uint8_t> mask_;
  Scan scan_;
};

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
