// Plain types shared by all operations, on host and device.
#pragma once
#include <cstddef>
#include <cstdint>

#if defined(__CUDACC__)
#define MMREG_INLINE __host__ __device__ __forceinline__
#define MMREG_UNROLL _Pragma("unroll")             // keeps arrays indexed by the loop counter in registers
#define MMREG_FUNCTION __host__ __device__ inline  // large functions, which the compiler may call
#else
#define MMREG_UNROLL _Pragma("GCC unroll 8")
#define MMREG_INLINE inline __attribute__((always_inline))
#define MMREG_FUNCTION inline
#endif
#define MMREG_INLINE_LAMBDA __attribute__((always_inline))
#ifndef MMREG_TARGET  // a namespace for each CPU target prevents the linker from merging their functions
#define MMREG_TARGET scalar
#endif

namespace mmreg {

struct Extent {  // number of voxels along axes 0, 1, 2; w is contiguous; d = 1 for a 2-D image
  int d, h, w;
};

MMREG_INLINE std::int64_t voxels(Extent n) { return std::int64_t(n.d) * n.h * n.w; }

struct Voxel {  // a voxel, or the first of a vector of voxels, and its linear index
  int z, y, x;
  std::int64_t index;
};

struct Half {  // IEEE binary16, storage only
  std::uint16_t bits;
};

// Voxels with their extent and number of channels, (channels, d, h, w). Does not own its memory.
template <class T>
struct ImageView {
  T* data;
  Extent n;
  int channels = 1;
};
using Image = ImageView<const float>;
using Mask = ImageView<const std::uint8_t>;  // voxels that are not 0 count; null data: all voxels

struct FeatureImage {  // (d, h, w, channels), channels a multiple of 16; does not own its memory
  const Half* data;
  Extent n;
  int channels;
};

struct Displacement {  // (3, d, h, w), in voxels of its grid; does not own its memory
  const float* data;
  Extent n;

  MMREG_INLINE operator Image() const { return {data, n, 3}; }
};

}  // namespace mmreg
