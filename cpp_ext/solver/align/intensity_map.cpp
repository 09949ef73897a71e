#include "solver/align/intensity_map.h"

#include <algorithm>
#include <cmath>

namespace mmreg {
namespace {

using Values = std::vector<float>;

// Removes values that make up more than this share each: padding, not tissue. Returns all values if little is left.
Values without_padding(const Values& sorted, double share) {
  Values rest;
  for (std::size_t begin = 0, end; begin < sorted.size(); begin = end) {
    for (end = begin + 1; end < sorted.size() && sorted[end] == sorted[begin];) ++end;
    if (double(end - begin) <= share * double(sorted.size()))
      rest.insert(rest.end(), sorted.begin() + begin, sorted.begin() + end);
  }
  return rest.size() * 50 < sorted.size() ? sorted : rest;
}

float quantile(const Values& sorted, double q) { return sorted[std::size_t(q * double(sorted.size() - 1) + 0.5)]; }

}  // namespace

IntensityMap identity_intensity_map() {
  IntensityMap map{0, 1, {}};
  for (int k = 0; k <= IntensityMap::steps; ++k) map.knot[k] = float(k) / IntensityMap::steps;
  return map;
}

IntensityMap estimate_intensity_map(Values sample) {
  IntensityMap map = identity_intensity_map();
  sample.erase(std::remove_if(sample.begin(), sample.end(), [](float v) { return !std::isfinite(v); }), sample.end());
  map.low = map.high = 0;
  if (sample.empty()) return map;
  std::sort(sample.begin(), sample.end());
  const Values tissue = without_padding(sample, 0.05);
  map.low = quantile(tissue, 0.005);
  map.high = quantile(tissue, 0.995);
  if (map.low == map.high) {
    map.low = sample.front();
    map.high = sample.back();
  }
  if (map.low == map.high) return map;
  double density[IntensityMap::steps] = {}, total = 0;
  const double scale = IntensityMap::steps / (double(map.high) - map.low);
  for (float v : tissue) {
    const double at = (double(v) - map.low) * scale;
    if (at >= 0 && at <= IntensityMap::steps) density[std::min(int(at), IntensityMap::steps - 1)] += 1;
  }
  double smooth[IntensityMap::steps];
  for (int k = 0; k < IntensityMap::steps; ++k) {  // box slightly wider than the gaps between values of an 8-bit image
    double sum = 0;
    for (int j = -4; j <= 4; ++j) sum += density[std::min(std::max(k + j, 0), IntensityMap::steps - 1)];
    total += smooth[k] = std::cbrt(sum + 1e-3 * double(tissue.size()) / IntensityMap::steps);
  }
  double sum = 0;
  for (int k = 0; k < IntensityMap::steps; ++k) {
    map.knot[k] = float(sum / total);
    sum += smooth[k];
  }
  map.knot[IntensityMap::steps] = 1;
  return map;
}

float foreground_threshold(const Values& mapped) {
  constexpr int bins = 64;
  double count[bins] = {}, all = 0, sum = 0;
  for (float v : mapped)
    if (v == v) {
      const int k = std::min(bins - 1, int(v * bins));
      count[k] += 1;
      all += 1;
      sum += k;
    }
  double below = 0, sum_below = 0, best = -1;
  int threshold = 0;
  for (int k = 0; k + 1 < bins; ++k) {
    below += count[k];
    sum_below += k * count[k];
    const double above = all - below;
    if (below == 0 || above == 0) continue;
    const double difference = sum_below / below - (sum - sum_below) / above,
                 spread = below * above * difference * difference;
    if (spread > best) {
      best = spread;
      threshold = k + 1;
    }
  }
  return float(threshold) / bins;
}

}  // namespace mmreg
