#include "solver/align/mutual_information.h"

#include <algorithm>
#include <cmath>

namespace mmreg {
namespace {

struct Marginals {
  std::vector<double> fixed, moving;
  double all = 0;
};

Marginals marginals(const float* h, int bins) {
  Marginals m{std::vector<double>(bins), std::vector<double>(bins)};
  for (int f = 0; f < bins; ++f)
    for (int k = 0; k < bins; ++k) {
      m.fixed[f] += h[f * bins + k];
      m.moving[k] += h[f * bins + k];
    }
  for (double f : m.fixed) m.all += f;
  return m;
}

double weighted_log(double h) { return h > 0 ? h * std::log(h) : 0; }

IndexMap index_map(const AffineMap& map, const AffineMap& to_index) {
  const AffineMap whole = compose(to_index, map);
  IndexMap out;
  for (int k = 0; k < 12; ++k) out.affine[k] = float(whole.m[k]);
  return out;
}

}  // namespace

MapScore map_score(const float* h, int bins, double samples, double power) {
  const Marginals m = marginals(h, bins);
  if (m.all < 1e-6 * samples || m.all <= 0) return {0, 1, 0};
  double joint = 0, fixed = 0, moving = 0;
  for (int i = 0; i < bins * bins; ++i) joint += h[i] > 0 ? h[i] * double(std::log(h[i])) : 0;
  for (int k = 0; k < bins; ++k) {
    fixed += weighted_log(m.fixed[k]);
    moving += weighted_log(m.moving[k]);
  }
  const double all = weighted_log(m.all), joint_entropy = all - joint;
  const double entropies = 2 * all - fixed - moving;
  const double covered = m.all / samples, mutual = (joint - fixed - moving + all) / m.all;
  return {mutual * std::pow(covered, power), joint_entropy > 1e-9 * m.all ? entropies / joint_entropy : 1, covered};
}

AlignmentMetric::AlignmentMetric(const Context& context, const FixedSamples& fixed, const PyramidLevel& moving,
                                 int bins, double power)
    : context_(context),
      fixed_(fixed),
      moving_(moving),
      to_index_(invert(moving.affine)),
      bins_(bins),
      power_(power),
      device_gain_(context, std::size_t(bins) * bins),
      device_gradient_(context, 12) {}

void AlignmentMetric::histograms(const std::vector<AffineMap>& maps) const {
  std::vector<IndexMap> index_maps;
  for (const AffineMap& map : maps) index_maps.push_back(index_map(map, to_index_));
  const std::size_t size = maps.size() * bins_ * bins_;
  if (device_histograms_.size() != size) device_histograms_ = Buffer<float>(context_, size);
  context_.sample_histogram(list(), moving_.image, index_maps.data(), int(maps.size()), bins_,
                            device_histograms_.data());
  histograms_.resize(size);
  device_histograms_.download(histograms_.data());
  evaluations_ += std::int64_t(maps.size());
}

std::vector<MapScore> AlignmentMetric::at(const std::vector<AffineMap>& maps) const {
  histograms(maps);
  std::vector<MapScore> out;
  for (std::size_t i = 0; i < maps.size(); ++i)
    out.push_back(map_score(histograms_.data() + i * bins_ * bins_, bins_, double(fixed_.count), power_));
  return out;
}

MapScore AlignmentMetric::at(const AffineMap& map, double gradient[12]) const {
  const MapScore found = at(map);
  const Marginals m = marginals(histograms_.data(), bins_);
  const double all = std::max(1.0, m.all), scale = std::pow(found.covered, power_) / all;
  const double mean = (1 - power_) * found.climbed / std::max(1e-9, std::pow(found.covered, power_));
  std::vector<float> gain(histograms_.size());
  for (int f = 0; f < bins_; ++f)
    for (int k = 0; k < bins_; ++k) {  // an empty bin counts as a tenth of a sample
      const double h = std::max(0.1, double(histograms_[f * bins_ + k]));
      const double expected = std::max(0.1, m.fixed[f]) * std::max(0.1, m.moving[k]) / all;
      gain[f * bins_ + k] = float(scale * (std::log(h / expected) - mean));
    }
  device_gain_.upload(gain.data());
  context_.sample_gradient(list(), moving_.image, index_map(map, to_index_), bins_, device_gain_.data(),
                           device_gradient_.data());
  double by_index[12];
  device_gradient_.download(by_index);
  for (int row = 0; row < 3; ++row)  // index = to_index * mm
    for (int k = 0; k < 4; ++k) {
      gradient[4 * row + k] = 0;
      for (int j = 0; j < 3; ++j) gradient[4 * row + k] += to_index_(j, row) * by_index[4 * j + k];
    }
  return found;
}

}  // namespace mmreg
