// The step of the gradient descent.
#include "core/adam_step.h"

#include "cpu/target/operations.h"

namespace mmreg::MMREG_TARGET {

void adam_step(Queue& queue, const AdamStepArguments& a) {
  const std::int64_t count = voxels(a.n);
  const Pace p = pace(a);
  parallel(queue, count, 1 << 14, [&](std::int64_t begin, std::int64_t end) {
    const Pace own = p;  // a local copy, which the compiler knows is not modified
    const float *f0 = a.gradient, *f1 = f0 + count, *f2 = f1 + count;
    float *m0 = a.mean, *m1 = m0 + count, *m2 = m1 + count, *v = a.square;
    float *s0 = a.step, *s1 = s0 + count, *s2 = s1 + count;
#pragma GCC ivdep
    for (std::int64_t i = begin; i < end; ++i) {
      const float g0 = f0[i], g1 = f1[i], g2 = f2[i];
      const float square = next_square(own, v[i], g0, g1, g2);
      const float scale = step_scale(own, square);
      v[i] = square;
      s0[i] = scale * (m0[i] = next_mean(own, m0[i], g0));
      s1[i] = scale * (m1[i] = next_mean(own, m1[i], g1));
      s2[i] = scale * (m2[i] = next_mean(own, m2[i], g2));
    }
  });
}

}  // namespace mmreg::MMREG_TARGET
