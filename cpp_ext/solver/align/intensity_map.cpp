#include "solver/align/intensity_map.h"

#include <algorithm>
#include <cmath>

namespace mmreg {
namespace {

using Values = std::vector<float>;

// Without the values that alone make up more than this share: padding, not tissue. All of them if little is left.
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

Tone plain_tone() {
  Tone tone{0, 1, {}};
  for (int k = 0; k <= Tone::steps; ++k) tone.knot[k] = float(k) / Tone::steps;
  return tone;
}

Tone estimate_tone(Values sample) {
  Tone tone = plain_tone();
  sample.erase(std::remove_if(sample.begin(), sample.end(), [](float v) { return !std::isfinite(v); }), sample.end());
  tone.low = tone.high = 0;
  if (sample.empty()) return tone;
  std::sort(sample.begin(), sample.end());
  const Values tissue = without_padding(sample, 0.05);
  tone.low = quantile(tissue, 0.005), tone.high = quantile(tissue, 0.995);
  if (tone.low == tone.high) tone.low = sample.front(), tone.high = sample.back();
  if (tone.low == tone.high) return tone;
  double density[Tone::steps] = {}, total = 0;
  const double scale = Tone::steps / (double(tone.high) - tone.low);
  for (float v : tissue) {
    const double at = (double(v) - tone.low) * scale;
    if (at >= 0 && at <= Tone::steps) density[std::min(int(at), Tone::steps - 1)] += 1;
  }
  double smooth[Tone::steps];
  for (int k = 0; k < Tone::steps; ++k) {  // a little wider than the gaps of an 8-bit image
    double sum = 0;
    for (int j = -4; j <= 4; ++j) sum += density[std::min(std::max(k + j, 0), Tone::steps - 1)];
    total += smooth[k] = std::cbrt(sum + 1e-3 * double(tissue.size()) / Tone::steps);
  }
  double sum = 0;
  for (int k = 0; k < Tone::steps; ++k) tone.knot[k] = float(sum / total), sum += smooth[k];
  tone.knot[Tone::steps] = 1;
  return tone;
}

float foreground_threshold(const Values& toned) {
  constexpr int bins = 64;
  double count[bins] = {}, all = 0, sum = 0;
  for (float v : toned)
    if (v == v) {
      const int k = std::min(bins - 1, int(v * bins));
      count[k] += 1, all += 1, sum += k;
    }
  double below = 0, sum_below = 0, best = -1;
  int threshold = 0;
  for (int k = 0; k + 1 < bins; ++k) {
    below += count[k], sum_below += k * count[k];
    const double above = all - below;
    if (below == 0 || above == 0) continue;
    const double difference = sum_below / below - (sum - sum_below) / above,
                 spread = below * above * difference * difference;
    if (spread > best) best = spread, threshold = k + 1;
  }
  return float(threshold) / bins;
}

}  // namespace mmreg
