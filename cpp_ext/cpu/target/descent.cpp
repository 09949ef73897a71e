// Adam-like step (Kingma and Ba, ICLR 2015) with one second moment for the three components, so that the
// direction of the force is kept.
#include "core/descent_data.h"
#include "cpu/target/operations.h"

namespace mmreg::MMREG_TARGET {

void descent(Queue& queue, const DescentArguments& a) {
  const std::int64_t count = voxels(a.n);
  float mean_left = 1, square_left = 1;
  for (int i = 0; i < a.iteration; ++i) mean_left *= a.mean_decay, square_left *= a.square_decay;
  const float mean_scale = -a.rate_vox / (1 - mean_left), square_scale = 1 / (1 - square_left);
  const float floor = a.floor * a.floor;
  parallel(queue, count, 1 << 14, [&](std::int64_t begin, std::int64_t end) {
    const float *f0 = a.force, *f1 = f0 + count, *f2 = f1 + count;
    float *m0 = a.mean, *m1 = m0 + count, *m2 = m1 + count, *v = a.square;
    float *s0 = a.step, *s1 = s0 + count, *s2 = s1 + count;
#pragma GCC ivdep
    for (std::int64_t i = begin; i < end; ++i) {
      const float g0 = f0[i], g1 = f1[i], g2 = f2[i];
      const float square = v[i] + (1 - a.square_decay) * (g0 * g0 + g1 * g1 + g2 * g2 - v[i]);
      const float scale = mean_scale / __builtin_sqrtf(square * square_scale + floor);
      v[i] = square;
      s0[i] = scale * (m0[i] += (1 - a.mean_decay) * (g0 - m0[i]));
      s1[i] = scale * (m1[i] += (1 - a.mean_decay) * (g1 - m1[i]));
      s2[i] = scale * (m2[i] += (1 - a.mean_decay) * (g2 - m2[i]));
    }
  });
}

}  // namespace mmreg::MMREG_TARGET
