// An image of the host, copied and checked: what is registered is finite and float32.
#pragma once
#include "capi/guard.h"
#include "ops/buffer.h"
#include "solver/align/scan_statistics.h"

namespace mmreg::capi {

class HostImage {
 public:
  explicit HostImage(const Context& context) : context_(context) {}

  // Throws a CodedError if the image cannot be registered. Memory is reused while the number of voxels does not grow.
  void read(const mmreg_image&, int space, const char* name);
  const Scan& scan() const { return scan_; }
  bool empty() const { return scan_.data == nullptr; }

 private:
  void copy_mask(const mmreg_image&, std::int64_t count);

  Context context_;
  Buffer<float> data_;
  Buffer<std::uint8_t> mask_;
  Scan scan_{};
};

// Returns the centre of the mask of an image, or of its field of view without one.
Point centre_mm(const Scan&);

Extent extent_of(const mmreg_image&, const char* name);  // checked
// Converts the voxels of an image, which may have strides, to contiguous ones.
void convert(const mmreg_image&, Extent, const char* name, float* out);
void convert(const mmreg_image&, Extent, const char* name, std::int32_t* out);

}  // namespace mmreg::capi
