// The step of the descent, one thread a voxel.
#include "core/descent.h"
#include "cuda/launch.h"
#include "ops/target_operations.h"

namespace mmreg::MMREG_TARGET {

void descent(Queue& queue, const DescentArguments& arguments) {
  const std::int64_t count = voxels(arguments.n);
  const DescentArguments a = arguments;
  const Pace p = pace(arguments);
  for_each(queue, count, [=] MMREG_DEVICE(std::int64_t i) {
    float force[3];
    for (int k = 0; k < 3; ++k) force[k] = a.force[i + k * count];
    const float square = next_square(p, a.square[i], force[0], force[1], force[2]);
    const float scale = step_scale(p, square);
    a.square[i] = square;
    for (int k = 0; k < 3; ++k) {
      const float mean = next_mean(p, a.mean[i + k * count], force[k]);
      a.mean[i + k * count] = mean;
      a.step[i + k * count] = scale * mean;
    }
  });
}

}  // namespace mmreg::MMREG_TARGET
