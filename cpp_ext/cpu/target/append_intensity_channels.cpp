// Stores the image and its validity in the last channels of its features, so that one load reads all.
#include "core/half.h"
#include "core/intensity_channel.h"
#include "cpu/target/operations.h"

namespace mmreg::MMREG_TARGET {

void append_intensity_channels(Queue& queue, Image image, const std::uint8_t* valid, float scale, float offset,
                               int channels, Half* features) {
  parallel(queue, voxels(image.n), 1 << 14, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      Half* last = features + (i + 1) * channels;
      last[intensity_channel] = narrow(in_bins(image.data[i], scale, offset));
      last[validity_channel] = narrow(valid && !valid[i] ? 0.0f : 1.0f);
      last[-2] = last[-1] = Half{0};
    }
  });
}

}  // namespace mmreg::MMREG_TARGET
