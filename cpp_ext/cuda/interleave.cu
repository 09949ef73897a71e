// Converts the planar output of a network to channel-last features.
#include "cuda/lane.h"
#include "cuda/launch.h"
#include "ops/target_operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

constexpr int kTogether = 16;  // channels written by a thread, a whole sector of memory

struct alignas(16) Sector {
  Half value[kTogether];
};

}  // namespace

void interleave(Queue& queue, Image planes, int channels, Half* features) {
  const std::int64_t count = voxels(planes.n);
  for_each(queue, channels / kTogether * count, [=] MMREG_DEVICE(std::int64_t i) {
    const int first = int(i / count) * kTogether;
    const std::int64_t voxel = i - first / kTogether * count;  // consecutive threads read along a plane
    Sector part;
    for (int c = 0; c < kTogether; ++c)
      part.value[c] = first + c < planes.channels ? to_half(planes.data[(first + c) * count + voxel]) : Half{0};
    *reinterpret_cast<Sector*>(features + voxel * channels + first) = part;
  });
}

}  // namespace mmreg::MMREG_TARGET
