#include "solver/deform/gradient_descent.h"

#include <cmath>

namespace mmreg {
namespace {

constexpr int kRowStride = 4;  // one row in four suffices to measure the magnitude of the gradients
constexpr float kMeanDecay = 0.9f, kSquareDecay = 0.99f;

using Counts = std::vector<double>;

// Sets gain to log p(f, m) / p(m), whose derivative with respect to m is the gradient of the mutual information.
// Returns the mutual information in nats.
double gain_of(const Counts& counts, std::vector<float>& gain) {
  constexpr int bins = kHistogramBins;
  double total = 0;
  for (double c : counts) total += c;
  std::vector<double> of_fixed(bins), of_moving(bins);
  for (int f = 0; f < bins; ++f)
    for (int m = 0; m < bins; ++m) {
      of_fixed[f] += counts[f * bins + m] / total;
      of_moving[m] += counts[f * bins + m] / total;
    }
  double information = 0;
  for (int f = 0; f < bins; ++f)
    for (int m = 0; m < bins; ++m) {
      const double p = counts[f * bins + m] / total;
      gain[f * bins + m] = float(std::log((p + 1e-8) / (of_moving[m] + 1e-8 * bins)));
      if (p > 0) information += p * std::log(p / (of_fixed[f] * of_moving[m]));
    }
  return information;
}

struct SimilarityResult {
  SimilaritySums sums;
  double information;
};

class Similarity {  // evaluates the gradient at a displacement, with the gain from the histogram of the last call
 public:
  Similarity(const Context& context, const Level& level)
      : context_(context),
        level_(level),
        counts_(kHistogramCells),
        gain_(kHistogramCells),
        table_(context, kHistogramCells) {}

  // Computes both gradients at weight 1 on a subset of the rows. The weights are derived from their sums.
  SimilarityResult at_full_weight(const float* u, float* gradient) {
    const Buffer<std::int32_t> some = some_rows();
    run(some.data(), u, false, 1, 1, gradient);
    return run(some.data(), u, true, 1, 1, gradient);
  }

  SimilarityResult operator()(const float* u, float feature_weight, float intensity_weight, float* gradient) {
    return run(level_.rows.data(), u, true, feature_weight, intensity_weight, gradient);
  }

 private:
  SimilarityResult run(const std::int32_t* rows, const float* u, bool intensities, float feature_weight,
                       float intensity_weight, float* gradient) {
    SimilarityResult c{};
    context_.similarity_gradient(SimilarityGradientArguments{
        level_.fixed.data(), level_.moving.data(), level_.channels, level_.n, rows, u,
        intensities ? table_.data() : nullptr, feature_weight, intensity_weight, gradient, counts_.data(), &c.sums});
    if (c.sums.count > 0) {
      c.information = gain_of(counts_, gain_);
      table_.upload(gain_.data());
    }
    return c;
  }

  Buffer<std::int32_t> some_rows() {
    std::vector<std::int32_t> rows(level_.rows.size());
    context_.download(rows.data(), level_.rows.data(), sizeof(rows[0]) * rows.size());
    for (std::size_t r = 0; r < rows.size() / 2; ++r)
      if (r % kRowStride) rows[2 * r + 1] = rows[2 * r];
    return uploaded(context_, rows);
  }

  Context context_;
  const Level& level_;
  Counts counts_;
  std::vector<float> gain_;
  Buffer<float> table_;
};

float per_unit(double squared, double count) { return squared > 0 ? float(std::sqrt(count / squared)) : 0.0f; }

struct Sigma {
  float vox[3];
};

// The same smoothing spans fewer voxels along a coarser axis. The square root keeps neighbouring slices coupled.
Sigma sigma(const Level& level, float vox) {
  Sigma s;
  for (int a = 0; a < 3; ++a) s.vox[a] = vox * std::sqrt(level.relative[a]);
  return s;
}

// Scales the gradient so that steps have the same length in mm along every axis: one voxel across thick slices is
// several times as far as one voxel within a slice.
void to_equal_lengths(const Context& context, const Level& level, float* gradient) {
  const std::int64_t count = voxels(level.n);
  for (int a = 0; a < 3; ++a, gradient += count)
    if (level.relative[a] < 1) context.axpby(count, level.relative[a], gradient, 0, gradient, gradient);
}

// Gaussian smoothing of the displacement that excludes the air around the body: no gradient acts there, and the air
// would drag on the skin (normalised convolution, Knutsson and Westin, CVPR 1993).
class Smoothing {
 public:
  Smoothing(const Context& context, const Level& level, const Sigma& sigma)
      : context_(context), level_(level), sigma_(sigma) {
    total_ = Buffer<float>(context, level.n);
    context.gaussian(level.presence, sigma.vox, total_.data());
  }

  void operator()(float* u, float* smooth) const {  // u is overwritten
    context_.multiply(Image{u, level_.n, 3}, level_.presence.data(), u);
    context_.gaussian(Image{u, level_.n, 3}, sigma_.vox, smooth);
    context_.divide(Image{smooth, level_.n, 3}, total_.data(), smooth);
  }

 private:
  Context context_;
  const Level& level_;
  Sigma sigma_;
  Buffer<float> total_;
};

}  // namespace

DescentResult gradient_descent(const Context& context, const Level& level, const LevelSettings& s, float* u,
                               const std::function<bool(int)>& interrupt) {
  const Extent n = level.n;
  Buffer<float> gradient(context, n, 3), step(context, n, 3), next(context, n, 3), mean(context, n, 3),
      square(context, n);
  context.axpby(3 * voxels(n), 0, u, 0, u, mean.data());
  context.axpby(voxels(n), 0, u, 0, u, square.data());
  Similarity similarity(context, level);
  const SimilarityResult start = similarity.at_full_weight(u, gradient.data());
  const float feature_weight = s.feature_weight * per_unit(start.sums.features_squared, start.sums.count);
  const float intensity_weight = s.intensity_weight * per_unit(start.sums.intensity_squared, start.sums.count);
  const Sigma fluid = sigma(level, s.fluid_vox);
  const Smoothing elastic(context, level, sigma(level, s.elastic_vox));
  DescentResult r{start.sums.features, start.information, true};
  for (int i = 0; i < s.iterations && r.complete && start.sums.count > 0; ++i) {
    if (interrupt(i)) r.complete = false;
    const SimilarityResult c = similarity(u, feature_weight, intensity_weight, gradient.data());
    r.features = c.sums.features / c.sums.count;
    r.information = c.information;
    context.gaussian(gradient, fluid.vox, gradient.data());
    const float done = float(i) / float(s.iterations);
    to_equal_lengths(context, level, gradient.data());
    context.adam_step(AdamStepArguments{gradient.data(), n, mean.data(), square.data(), i + 1, kMeanDecay, kSquareDecay,
                                        s.floor, s.rate_vox * (1 - done + s.last_rate * done), step.data()});
    context.compose(step.data(), u, n, next.data());
    elastic(next.data(), u);
  }
  return r;
}

}  // namespace mmreg
