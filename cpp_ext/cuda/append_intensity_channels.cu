// Stores the image and its validity in the last channels of its features, so that one load reads all.
#include "core/intensity_channel.h"
#include "cuda/lane.h"
#include "cuda/launch.h"
#include "ops/target_operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

struct alignas(8) Extras {  // the last channels of a voxel, written by one store
  Half intensity, validity, unused[2];
};
static_assert(sizeof(Extras) == kExtraChannels * sizeof(Half), "the extra channels of a voxel");
static_assert(intensity_channel == -4 && validity_channel == -3, "the order of the extra channels");

}  // namespace

void append_intensity_channels(Queue& queue, Image image, const std::uint8_t* valid, float scale, float offset,
                               int channels, Half* features) {
  for_each(queue, voxels(image.n), [=] MMREG_DEVICE(std::int64_t i) {
    const Half validity = to_half(valid && !valid[i] ? 0.0f : 1.0f);
    Extras* const last = reinterpret_cast<Extras*>(features + (i + 1) * channels) - 1;
    *last = {to_half(in_bins(image.data[i], scale, offset)), validity, {{0}, {0}}};
  });
}

}  // namespace mmreg::MMREG_TARGET
