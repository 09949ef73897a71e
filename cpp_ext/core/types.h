// The few plain types shared by every operation, on host and device.
#pragma once
#include <cstddef>
#include <cstdint>

#if defined(__CUDACC__)
#define MMREG_INLINE __host__ __device__ __forceinline__
#define MMREG_UNROLL _Pragma("unroll")  // of the loop that follows: what its counter indexes stays in registers
#define MMREG_FUNCTION __host__ __device__ inline  // where the compiler may prefer a call
#else
#define MMREG_UNROLL _Pragma("GCC unroll 8")
#define MMREG_INLINE inline __attribute__((always_inline))
#define MMREG_FUNCTION inline
#endif
#define MMREG_INLINE_LAMBDA __attribute__((always_inline))
#ifndef MMREG_TARGET  // each CPU target has a namespace of its own, so the linker cannot merge them
#define MMREG_TARGET scalar
#endif

namespace mmreg {

struct Extent {  // voxels along axes 0, 1, 2; w is contiguous; a 2-D image has d = 1
  int d, h, w;
};

MMREG_INLINE std::int64_t voxels(Extent n) { return std::int64_t(n.d) * n.h * n.w; }

struct Voxel {  // a voxel, or the first of a vector of them, and its index in the volume
  int z, y, x;
  std::int64_t index;
};

struct Half {  // IEEE binary16, storage only
  std::uint16_t bits;
};

// Voxels with the grid that they lie on: none are read with the grid or the channels of another image.
template <class T>
struct ImageView {  // (channels, d, h, w); the memory belongs to someone else
  T* data;
  Extent n;
  int channels = 1;
};
using Image = ImageView<const float>;
using Mask = ImageView<const std::uint8_t>;  // data may be null: every voxel counts

struct FeatureImage {  // (d, h, w, channels), channels a multiple of 16
  const Half* data;
  Extent n;
  int channels;
};

struct Displacement {  // (3, d, h, w), in voxels of its grid
  const float* data;
  Extent n;

  MMREG_INLINE operator Image() const { return {data, n, 3}; }
};

}  // namespace mmreg
