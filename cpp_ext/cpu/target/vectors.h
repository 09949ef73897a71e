// The loop over a grid in vectors along its rows, in pieces that do not depend on the number of threads.
#pragma once
#include "cpu/queue.h"
#include "cpu/target/simd.h"

namespace mmreg::MMREG_TARGET {

struct Whole {};  // a count of all lanes, known to the compiler; the other counts are int

MMREG_INLINE Floats load(const float* p, Whole) { return load(p); }
MMREG_INLINE void store(float* p, Floats v, Whole) { store(p, v); }
MMREG_INLINE void store(std::int32_t* p, Ints v, Whole) { store(p, v); }

typedef std::uint8_t Bytes __attribute__((vector_size(lanes)));

MMREG_INLINE void store_flags(std::uint8_t* p, Ints mask, int count) {
  const Bytes flags = __builtin_convertvector(mask & 1, Bytes);
  std::memcpy(p, &flags, std::size_t(count));
}
MMREG_INLINE void store_flags(std::uint8_t* p, Ints mask, Whole) {
  const Bytes flags = __builtin_convertvector(mask & 1, Bytes);
  std::memcpy(p, &flags, sizeof flags);
}

struct Voxel {  // the first of a vector of voxels, and its index in the volume
  int z, y, x;
  std::int64_t index;
};

// body(voxel, count) for every vector; count is Whole, or the int that is left at the end of a row.
template <class Body>
MMREG_INLINE void for_vectors_of_row(Extent n, std::int64_t row, Body&& body) {
  Voxel v{int(row / n.h), int(row % n.h), 0, row * n.w};
  for (; v.x + lanes <= n.w; v.x += lanes, v.index += lanes) body(v, Whole{});
  if (v.x < n.w) body(v, n.w - v.x);
}

template <class Body>
inline void for_vectors(Queue& queue, Extent n, Body&& body) {
  parallel(queue, std::int64_t(n.d) * n.h, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) for_vectors_of_row(n, row, body);
  });
}

}  // namespace mmreg::MMREG_TARGET
