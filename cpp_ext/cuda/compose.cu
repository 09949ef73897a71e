// Composition of displacements, and the exponential of a velocity by scaling and squaring.
// Arsigny, Commowick, Pennec, Ayache: A log-Euclidean framework for statistics on diffeomorphisms, MICCAI 2006.
#include <utility>

#include "cuda/queue.h"
#include "cuda/sampling.h"
#include "ops/target_operations.h"

namespace mmreg::MMREG_TARGET {

void compose(Queue& queue, const float* first, const float* second, Extent n, float* out) {
  const Source<float> s = source(second, n);
  const std::int64_t size = voxels(n);
  const Displaced points{first, size};
  for_voxels(queue, n, [=] MMREG_DEVICE(const Voxel& v) {
    Floats value[3];
    sample<Interpolation::linear, Holds::finite>(s, Border::extend, points(v, One{}), value);
    for (int k = 0; k < 3; ++k) out[k * size + v.index] = first[k * size + v.index] + value[k];
  });
}

void integrate(Queue& queue, const float* velocity, Extent n, int steps, float* u) {
  const Scratch<float> other(queue, 3 * voxels(n));
  float* from = steps % 2 ? other.data() : u;  // the last squaring writes u
  float* to = steps % 2 ? u : other.data();
  const float scale = ldexpf(1.0f, -steps);
  float* const start = from;
  for_each(queue, 3 * voxels(n), [=] MMREG_DEVICE(std::int64_t i) { start[i] = scale * velocity[i]; });
  for (int i = 0; i < steps; ++i) {
    compose(queue, from, from, n, to);
    std::swap(from, to);
  }
}

}  // namespace mmreg::MMREG_TARGET
