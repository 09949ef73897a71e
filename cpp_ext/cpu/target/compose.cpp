// Composition of displacements, and the exponential of a velocity by scaling and squaring.
// Arsigny, Commowick, Pennec, Ayache: A log-Euclidean framework for statistics on diffeomorphisms, MICCAI 2006.
#include "cpu/target/operations.h"
#include "cpu/target/sampling.h"

namespace mmreg::MMREG_TARGET {

void compose(Queue& queue, const float* first, const float* second, Extent n, float* out) {
  const std::int64_t size = voxels(n);
  parallel_rows(queue, n, [=](std::int64_t begin, std::int64_t end) {
    const Source<float> s = source(second, n);
    const Displaced points{first, size};
    for_vectors_of_rows(n, begin, end, [&](Voxel v, auto count) MMREG_INLINE_LAMBDA {
      Floats value[3];
      sample<Interpolation::linear, Holds::finite>(s, Border::extend, points(v, count), value);
      for (int k = 0; k < 3; ++k) {
        const std::int64_t at = k * size + v.index;
        store(out + at, load(first + at, count) + value[k], count);
      }
    });
  });
}

namespace {

void scale(Queue& queue, const float* in, std::int64_t count, float factor, float* out) {
  parallel(queue, count, 1 << 14, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) out[i] = factor * in[i];
  });
}

}  // namespace

void integrate(Queue& queue, const float* velocity, Extent n, int steps, float* u) {
  Scratch<float> other(queue, 3 * voxels(n));
  float* from = steps % 2 ? static_cast<float*>(other) : u;  // the last squaring writes u
  float* to = steps % 2 ? u : static_cast<float*>(other);
  scale(queue, velocity, 3 * voxels(n), __builtin_ldexpf(1.0f, -steps), from);
  for (int i = 0; i < steps; ++i) {
    compose(queue, from, from, n, to);
    float* swap = from;
    from = to;
    to = swap;
  }
}

}  // namespace mmreg::MMREG_TARGET
