// Loops over a grid in vectors along its rows, in pieces that do not depend on the number of threads.
#pragma once
#include "cpu/queue.h"
#include "cpu/target/simd.h"

namespace mmreg::MMREG_TARGET {

struct Whole {};  // the count of a full vector, known at compile time; other counts are int

MMREG_INLINE Floats load(const float* p, Whole) { return load(p); }
MMREG_INLINE void store(float* p, Floats v, Whole) { store(p, v); }
MMREG_INLINE void store(std::int32_t* p, Ints v, Whole) { store(p, v); }
MMREG_INLINE void store(Half* p, Floats v, Whole) { store(p, v); }
MMREG_INLINE void store(Half* p, Floats v, int count) {
  Half all[kLanes];
  store(all, v);
  std::memcpy(p, all, std::size_t(count) * sizeof(Half));
}

typedef std::uint8_t Bytes __attribute__((vector_size(kLanes)));

MMREG_INLINE void store_flags(std::uint8_t* p, Ints mask, int count) {
  const Bytes flags = __builtin_convertvector(mask & 1, Bytes);
  std::memcpy(p, &flags, std::size_t(count));
}
MMREG_INLINE void store_flags(std::uint8_t* p, Ints mask, Whole) {
  const Bytes flags = __builtin_convertvector(mask & 1, Bytes);
  std::memcpy(p, &flags, sizeof flags);
}

// Calls body(voxel, count) for every vector of rows [begin, end); count is Whole, or int at the end of a row.
template <class Body>
MMREG_INLINE void for_vectors_of_rows(Extent n, std::int64_t begin, std::int64_t end, Body&& body) {
  Voxel v{int(begin / n.h), int(begin % n.h), 0, begin * n.w};
  for (; begin < end; ++begin, ++v.y) {
    if (v.y == n.h) {
      v.y = 0;
      ++v.z;
    }
    for (v.x = 0; v.x + kLanes <= n.w; v.x += kLanes, v.index += kLanes) body(v, Whole{});
    if (v.x < n.w) {
      body(v, n.w - v.x);
      v.index += n.w - v.x;
    }
  }
}

constexpr std::int64_t kRowsPerPiece = 32;

// Calls body(begin, end) over the rows of a grid.
template <class Body>
inline void parallel_rows(Queue& queue, Extent n, Body&& body) {
  parallel(queue, std::int64_t(n.d) * n.h, kRowsPerPiece, body);
}

template <class Body>
inline void for_vectors(Queue& queue, Extent n, Body&& body) {
  parallel_rows(queue, n, [&](std::int64_t begin, std::int64_t end) { for_vectors_of_rows(n, begin, end, body); });
}

}  // namespace mmreg::MMREG_TARGET
