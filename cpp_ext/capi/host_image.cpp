#include "capi/host_image.h"

#include <cmath>
#include <limits>

#include "capi/grids.h"

namespace mmreg::capi {
namespace {

constexpr double kConstant = 1e-6;  // relative range of intensities: less is rounding of float32, not an image

std::int64_t bytes_of(std::int32_t dtype) {
  switch (dtype) {
    case MMREG_UINT8:
      return 1;
    case MMREG_INT16:
    case MMREG_UINT16:
      return 2;
    case MMREG_FLOAT32:
    case MMREG_INT32:
      return 4;
    case MMREG_FLOAT64:
      return 8;
  }
  return 0;
}

struct Strides {
  std::int64_t d, h, w;  // bytes
};

Strides strides_of(const mmreg_image& image, Extent n, const char* name) {
  const std::int64_t one = bytes_of(image.dtype);
  if (!one) refuse("MMREG_E_ARGUMENT", "%s->dtype must be MMREG_FLOAT32, ...; found %d.", name, image.dtype);
  const std::int64_t (&s)[3] = image.stride_bytes;
  if (!s[0] && !s[1] && !s[2]) return {one * n.h * n.w, one * n.w, one};
  return {s[0], s[1], s[2]};
}

template <class From, class To>
void convert_voxels(const mmreg_image& image, Extent n, const Strides& stride, To* out) {
  const char* const data = static_cast<const char*>(image.data);
  for (int d = 0; d < n.d; ++d)
    for (int h = 0; h < n.h; ++h) {
      const char* const row = data + d * stride.d + h * stride.h;
      for (int w = 0; w < n.w; ++w, ++out) {
        From value;
        __builtin_memcpy(&value, row + w * stride.w, sizeof value);  // may be unaligned
        *out = To(value);
      }
    }
}

// Converts voxels of a type of whole numbers; returns false if the image has another type.
template <class To>
bool convert_whole(const mmreg_image& image, Extent n, const Strides& stride, To* out) {
  switch (image.dtype) {
    case MMREG_UINT8:
      convert_voxels<std::uint8_t>(image, n, stride, out);
      return true;
    case MMREG_INT16:
      convert_voxels<std::int16_t>(image, n, stride, out);
      return true;
    case MMREG_UINT16:
      convert_voxels<std::uint16_t>(image, n, stride, out);
      return true;
    case MMREG_INT32:
      convert_voxels<std::int32_t>(image, n, stride, out);
      return true;
  }
  return false;
}

void check_finite(std::int64_t bad, std::int64_t first, Extent n, const char* name) {
  if (!bad) return;
  const std::int64_t plane = std::int64_t(n.h) * n.w;
  refuse(
      "MMREG_E_INTENSITY_NOT_FINITE",
      "The %s image must be finite inside its mask; %lld of %lld voxels are NaN or infinite, the first at index (%lld, "
      "%lld, %lld). Replace them, or give a mask that excludes them.",
      name, static_cast<long long>(bad), static_cast<long long>(voxels(n)), static_cast<long long>(first / plane),
      static_cast<long long>(first % plane / n.w), static_cast<long long>(first % n.w));
}

// Replaces voxels outside the mask that are not finite by the lowest value inside, and denormal numbers, which are a
// hundred times slower and no signal, by 0.
void clean(float* data, const std::uint8_t* mask, Extent n, const char* name) {
  const std::int64_t count = voxels(n);
  float low = std::numeric_limits<float>::infinity(), high = -low;
  std::int64_t bad = 0, first = 0, elsewhere = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const float value = data[i];
    const bool finite = std::isfinite(value);
    if (mask && !mask[i]) {
      elsewhere += !finite;
      continue;
    }
    if (!finite && bad++ == 0) first = i;
    low = value < low ? value : low;
    high = value > high ? value : high;
    if (std::fabs(value) < std::numeric_limits<float>::min()) data[i] = 0;
  }
  check_finite(bad, first, n, name);
  if (!(double(high) - low > kConstant * std::fmax(std::fabs(low), std::fabs(high))))
    refuse("MMREG_E_INTENSITY_CONSTANT", "The %s image is constant inside its mask: %g to %g. Check its source.", name,
           low, high);
  if (!mask) return;
  for (std::int64_t i = 0; i < count; ++i) {
    if (elsewhere && !std::isfinite(data[i])) data[i] = low;
    if (std::fabs(data[i]) < std::numeric_limits<float>::min()) data[i] = 0;
  }
}

}  // namespace

Point centre_mm(const Scan& scan) {
  const Extent n = scan.extent;
  if (!scan.mask) return apply(scan.affine, {{0.5 * (n.d - 1), 0.5 * (n.h - 1), 0.5 * (n.w - 1)}});
  Point sum{};
  double count = 0;
  const std::uint8_t* marked = scan.mask;
  for (int d = 0; d < n.d; ++d)
    for (int h = 0; h < n.h; ++h)
      for (int w = 0; w < n.w; ++w)
        if (*marked++) {
          sum = sum + Point{{double(d), double(h), double(w)}};
          ++count;
        }
  for (double& index : sum.x) index /= count;
  return apply(scan.affine, sum);
}

Extent extent_of(const mmreg_image& image, const char* name) {
  constexpr std::int64_t most = std::numeric_limits<std::int32_t>::max();
  std::int64_t count = 1;
  for (const std::int64_t n : image.shape) {
    if (n < 1 || n > most || count > most / n)
      refuse("MMREG_E_GRID_SHAPE",
             "The shape of the %s image must be three numbers of at least 1, with at most 2^31 - 1 "
             "voxels; found %lld x %lld x %lld.",
             name, static_cast<long long>(image.shape[0]), static_cast<long long>(image.shape[1]),
             static_cast<long long>(image.shape[2]));
    count *= n;
  }
  return {int(image.shape[0]), int(image.shape[1]), int(image.shape[2])};
}

void convert(const mmreg_image& image, Extent n, const char* name, float* out) {
  const Strides stride = strides_of(image, n, name);
  if (convert_whole(image, n, stride, out)) return;
  if (image.dtype == MMREG_FLOAT64) return convert_voxels<double>(image, n, stride, out);
  convert_voxels<float>(image, n, stride, out);
}

void convert(const mmreg_image& image, Extent n, const char* name, std::int32_t* out) {
  if (!convert_whole(image, n, strides_of(image, n, name), out))
    refuse("MMREG_E_LABELS_FRACTIONAL",
           "Labels must be whole numbers: %s->dtype must be MMREG_UINT8, MMREG_INT16, "
           "MMREG_UINT16 or MMREG_INT32.",
           name);
}

void HostImage::copy_mask(const mmreg_image& image, std::int64_t count) {
  if (!mask_.data() || std::int64_t(mask_.size()) != count) {
    mask_ = {};
    mask_ = Buffer<std::uint8_t>(context_, scan_.extent);
  }
  mask_.upload(image.mask);
  bool any = false;
  for (std::int64_t i = 0; i < count && !any; ++i) any = image.mask[i] != 0;
  if (!any) refuse("MMREG_E_MASK_EMPTY", "The mask is empty: all voxels are 0. Mark a region, or give no mask.");
}

void HostImage::read(const mmreg_image& image, int space, const char* name) {
  check_not_null(image.data, "image->data");
  const Extent n = extent_of(image, name);
  const std::int64_t count = voxels(n);
  scan_ = {};
  scan_.extent = n;
  scan_.affine = checked_affine(image.affine, space, n, name);
  if (!data_.data() || std::int64_t(data_.size()) != count) {
    data_ = {};
    data_ = Buffer<float>(context_, n);
  }
  convert(image, n, name, data_.data());
  if (image.mask) copy_mask(image, count);
  const std::uint8_t* const mask = image.mask ? mask_.data() : nullptr;
  clean(data_.data(), mask, n, name);
  scan_.data = data_.data();
  scan_.mask = mask;
}

}  // namespace mmreg::capi
