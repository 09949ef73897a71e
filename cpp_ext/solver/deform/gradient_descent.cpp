#include "solver/deform/gradient_descent.h"

#include <cmath>

namespace mmreg {
namespace {

constexpr int kRowsPerMeasured = 4;  // one row in so many tells how large the forces are
constexpr float kMeanDecay = 0.9f, kSquareDecay = 0.99f;

using Counts = std::vector<double>;

// log p(f, m) / p(m): its change with m is the slope of the mutual information. Returns the information itself.
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
  ForceSums sums;
  double information;
};

class Comparison {  // the force and its histogram, one iteration after the other
 public:
  Comparison(const Context& context, const Level& level)
      : context_(context),
        level_(level),
        counts_(kHistogramCells),
        gain_(kHistogramCells),
        table_(context, kHistogramCells) {}

  // Both forces at full weight, on some of the rows: what they add up to says how to weigh them.
  SimilarityResult measure_forces(const float* u, float* force) {
    const Buffer<std::int32_t> some = some_rows();
    run(some.data(), u, false, 1, 1, force);
    return run(some.data(), u, true, 1, 1, force);
  }

  SimilarityResult operator()(const float* u, float feature_weight, float intensity_weight, float* force) {
    return run(level_.rows.data(), u, true, feature_weight, intensity_weight, force);
  }

 private:
  SimilarityResult run(const std::int32_t* rows, const float* u, bool intensities, float feature_weight,
                       float intensity_weight, float* force) {
    SimilarityResult c{};
    context_.force(ForceArguments{level_.fixed.data(), level_.moving.data(), level_.channels, level_.n, rows, u,
                                  intensities ? table_.data() : nullptr, feature_weight, intensity_weight, force,
                                  counts_.data(), &c.sums});
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
      if (r % kRowsPerMeasured) rows[2 * r + 1] = rows[2 * r];
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

// Along a coarser axis the same smoothing is fewer voxels, but neighbours never lose touch.
Sigma sigma(const Level& level, float vox) {
  Sigma s;
  for (int a = 0; a < 3; ++a) s.vox[a] = vox * std::sqrt(level.relative[a]);
  return s;
}

// A step is as long in mm along every axis: a voxel of a thick slice would take a point several times as far.
void to_equal_lengths(const Context& context, const Level& level, float* force) {
  const std::int64_t count = voxels(level.n);
  for (int a = 0; a < 3; ++a, force += count)
    if (level.relative[a] < 1) context.combine(count, level.relative[a], force, 0, force, force);
}

// A Gaussian of the displacement in which the air around the body does not count: it holds no force, and would only
// lag behind and drag the skin (normalised convolution, Knutsson and Westin, CVPR 1993).
class Smoothing {
 public:
  Smoothing(const Context& context, const Level& level, const Sigma& sigma)
      : context_(context), level_(level), sigma_(sigma) {
    total_ = Buffer<float>(context, std::size_t(voxels(level.n)));
    context.gaussian(level.presence.data(), 1, level.n, sigma.vox, total_.data());
  }

  void operator()(float* u, float* smooth) const {  // u is overwritten
    const std::int64_t count = voxels(level_.n);
    context_.multiply(u, 3, count, level_.presence.data(), u);
    context_.gaussian(u, 3, level_.n, sigma_.vox, smooth);
    context_.divide(smooth, 3, count, total_.data(), smooth);
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
  const std::size_t count = std::size_t(voxels(level.n));
  Buffer<float> force(context, 3 * count), step(context, 3 * count), next(context, 3 * count);
  Buffer<float> mean(context, 3 * count), square(context, count);
  context.combine(3 * std::int64_t(count), 0, u, 0, u, mean.data());
  context.combine(std::int64_t(count), 0, u, 0, u, square.data());
  Comparison compare(context, level);
  const SimilarityResult start = compare.measure_forces(u, force.data());
  const float feature_weight = s.feature_weight * per_unit(start.sums.features_squared, start.sums.count);
  const float intensity_weight = s.intensity_weight * per_unit(start.sums.intensity_squared, start.sums.count);
  const Sigma fluid = sigma(level, s.fluid_vox);
  const Smoothing elastic(context, level, sigma(level, s.elastic_vox));
  DescentResult r{start.sums.features, start.information, true};
  for (int i = 0; i < s.iterations && r.complete && start.sums.count > 0; ++i) {
    if (interrupt(i)) r.complete = false;
    const SimilarityResult c = compare(u, feature_weight, intensity_weight, force.data());
    r.features = c.sums.features / c.sums.count;
    r.information = c.information;
    context.gaussian(force.data(), 3, level.n, fluid.vox, force.data());
    const float done = float(i) / float(s.iterations);
    to_equal_lengths(context, level, force.data());
    context.descent(DescentArguments{force.data(), level.n, mean.data(), square.data(), i + 1, kMeanDecay, kSquareDecay,
                                     s.floor, s.rate_vox * (1 - done + s.last_rate * done), step.data()});
    context.compose(step.data(), u, level.n, next.data());
    elastic(next.data(), u);
  }
  return r;
}

}  // namespace mmreg
