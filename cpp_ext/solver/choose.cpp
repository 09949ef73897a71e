// The settings follow from the images. What is not in the blurrier of the two cannot be matched, so the smoothing of
// the displacement on the finer levels follows the size of its detail.
#include <algorithm>

#include "solver/deform.h"

namespace mmreg {
namespace {

constexpr double kSharp_vox = 2.8, kBlurred_vox = 3.2;  // size of the detail of a sharp and of a blurred pair
constexpr std::int64_t kMostVoxels = 12'000'000;  // of the finest level: beyond, it is half the resolution of the grid

}  // namespace

DeformSettings choose(const DeformFacts& facts, const DeformInput& input) {
  const float blur = float(std::clamp((facts.detail_vox - kSharp_vox) / (kBlurred_vox - kSharp_vox), 0.0, 1.0));
  const int first = voxels(input.n) > kMostVoxels ? 2 : 1;  // the finest level
  DeformSettings s;
  s.levels = 3;
  const float elastic_vox[] = {0.5f, 0.5f + 0.3f * blur, 0.5f + 0.7f * blur};
  const int iterations[] = {30, 30, 15};
  for (int l = 0; l < s.levels; ++l) {
    s.level[l].factor = first * (4 >> l);
    s.level[l].iterations = iterations[l], s.level[l].elastic_vox = elastic_vox[l];
  }
  s.search.factor *= first;
  return s;
}

}  // namespace mmreg
