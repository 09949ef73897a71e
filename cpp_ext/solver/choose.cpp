// The settings follow from the images. What is not in the blurrier of the two cannot be matched, so the smoothing of
// the displacement follows the size of its detail.
#include <algorithm>

#include "solver/deform.h"

namespace mmreg {

DeformSettings choose(const DeformFacts& facts, const DeformInput&) {
  DeformSettings s;
  const float elastic = std::clamp(0.5f + 0.6f * float(facts.detail_vox - 2.8), 0.5f, 1.2f);
  s.level[0].factor = 2, s.level[0].iterations = 40, s.level[0].elastic_vox = elastic;
  s.level[1].factor = 1, s.level[1].iterations = 15, s.level[1].elastic_vox = elastic;
  return s;
}

}  // namespace mmreg
