// Converts the planar output of a network to channel-last features.
#include "core/half.h"
#include "cpu/target/operations.h"

namespace mmreg::MMREG_TARGET {

void interleave(Queue& queue, Image planes, int channels, Half* features) {
  const std::int64_t count = voxels(planes.n);
  constexpr std::int64_t grain = 1 << 12, piece = 64;  // voxels whose planes stay in the cache
  parallel(queue, count, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t at = begin; at < end; at += piece) {
      const std::int64_t last = at + piece < end ? at + piece : end;
      for (int c = 0; c < channels; ++c)
        for (std::int64_t i = at; i < last; ++i)
          features[i * channels + c] = c < planes.channels ? narrow(planes.data[c * count + i]) : Half{0};
    }
  });
}

}  // namespace mmreg::MMREG_TARGET
