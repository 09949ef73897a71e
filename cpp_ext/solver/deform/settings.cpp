#include "solver/deform/settings.h"

#include <algorithm>
#include <cmath>

namespace mmreg {
namespace {

constexpr int kLevels = 3;

// The settings are a mixture of settings for three kinds of pairs. Detail that the blurrier image lacks cannot be
// matched, so the displacement is smoothed more on the finer levels if the details are large. In noise, a gradient is
// reliable only where its neighbours agree: it is smoothed far more, and steps no longer shrink where the mean gradient
// is small. This matters less if both images have the same contrast: the gradient then comes from differences of
// intensity, which noise corrupts less than the patterns shared by two contrasts.
struct Corner {  // settings of the levels, coarse to fine
  float iterations[kLevels], rate_vox[kLevels], fluid_vox[kLevels], elastic_vox[kLevels], intensity_weight[kLevels],
      floor;
};

constexpr Corner kSharp{{30, 30, 15}, {0.4f, 0.4f, 0.4f}, {1, 1, 1}, {0.5f, 0.5f, 0.5f}, {1, 1, 1}, 0.18f};
constexpr Corner kBlurred{{30, 20, 8}, {0.4f, 0.4f, 0.6f}, {1, 1, 1}, {0.5f, 0.8f, 1.2f}, {1, 1, 1}, 0.18f};
constexpr Corner kNoisy{{30, 50, 15}, {0.4f, 0.4f, 0.4f}, {3, 8, 10}, {1, 2, 2}, {1, 1, 0.3f}, 0.02f};

constexpr double kDetailOfSharp_vox = 2.9, kDetailOfBlurred_vox = 3.4;
constexpr double kContrastOfQuiet = 2.6, kContrastOfNoisy = 2;      // contrast to noise
constexpr double kCorrelationOfTwo = 0.4, kCorrelationOfOne = 0.7;  // pairs of two contrasts, of one
constexpr float kNoiseOfOne = 0.25f;              // fraction of the change for noise that applies to one contrast
constexpr std::int64_t kMostVoxels = 12'000'000;  // the finest level of a larger grid has half its resolution

// Share of the iterations on the finer levels when tracking: the displacement of the frame before has their detail. On
// a phantom with moving organs a full coarse level and a quarter of the finer ones are as accurate as a registration
// from the headers; without the coarse level the error doubles.
constexpr double kTrackedShare = 0.25;

struct Mixture {
  float blur, noise;

  float operator()(float sharp, float blurred, float noisy) const {
    const float quiet = sharp + blur * (blurred - sharp);
    return quiet + noise * (noisy - quiet);
  }
};

float share(double value, double none, double all) {
  return float(std::clamp((value - none) / (all - none), 0.0, 1.0));
}

}  // namespace

DeformSettings select_settings(const PairStatistics& statistics, const DeformInput& input) {
  const float one_contrast = share(statistics.correlation, kCorrelationOfTwo, kCorrelationOfOne);
  const Mixture mix{
      share(statistics.detail_vox, kDetailOfSharp_vox, kDetailOfBlurred_vox),
      share(statistics.contrast_to_noise, kContrastOfQuiet, kContrastOfNoisy) * (1 - one_contrast * (1 - kNoiseOfOne))};
  const int first = voxels(input.n) > kMostVoxels ? 2 : 1;  // factor of the finest level
  DeformSettings s;
  s.levels = kLevels;
  const Corner &a = kSharp, &b = kBlurred, &c = kNoisy;
  for (int l = 0; l < kLevels; ++l) {
    LevelSettings& level = s.level[l];
    level.factor = first * (4 >> l);
    level.iterations = int(std::lround(mix(a.iterations[l], b.iterations[l], c.iterations[l])));
    level.rate_vox = mix(a.rate_vox[l], b.rate_vox[l], c.rate_vox[l]);
    level.fluid_vox = mix(a.fluid_vox[l], b.fluid_vox[l], c.fluid_vox[l]);
    level.elastic_vox = mix(a.elastic_vox[l], b.elastic_vox[l], c.elastic_vox[l]);
    level.intensity_weight = mix(a.intensity_weight[l], b.intensity_weight[l], c.intensity_weight[l]);
    level.floor = mix(a.floor, b.floor, c.floor);
    level.dilation = mix.noise > 0.5f ? 1 : 2;
  }
  s.search.factor *= first;
  return s;
}

DeformSettings tracking_settings(const DeformSettings& settings) {
  DeformSettings s = settings;
  s.search.wanted = false;
  for (int l = 1; l < s.levels; ++l)
    s.level[l].iterations = std::max(1, int(std::lround(kTrackedShare * s.level[l].iterations)));
  return s;
}

}  // namespace mmreg
