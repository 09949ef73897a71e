// The step of the gradient descent, one thread per voxel.
#include "core/adam_step.h"
#include "cuda/launch.h"
#include "ops/target_operations.h"

namespace mmreg::MMREG_TARGET {

void adam_step(Queue& queue, const AdamStepArguments& arguments) {
  const std::int64_t count = voxels(arguments.n);
  const AdamStepArguments a = arguments;
  const Pace p = pace(arguments);
  for_each(queue, count, [=] MMREG_DEVICE(std::int64_t i) {
    float gradient[3];
    for (int k = 0; k < 3; ++k) gradient[k] = a.gradient[i + k * count];
    const float square = next_square(p, a.square[i], gradient[0], gradient[1], gradient[2]);
    const float scale = step_scale(p, square);
    a.square[i] = square;
    for (int k = 0; k < 3; ++k) {
      const float mean = next_mean(p, a.mean[i + k * count], gradient[k]);
      a.mean[i + k * count] = mean;
      a.step[i + k * count] = scale * mean;
    }
  });
}

}  // namespace mmreg::MMREG_TARGET
