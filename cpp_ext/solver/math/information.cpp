#include "solver/math/information.h"

#include <cmath>
#include <vector>

namespace mmreg {
namespace {

// Returns the entropy of counts that sum to `total`: log(total) - sum of c log(c) / total.
double entropy(const double* counts, int n, double total) {
  double sum = 0;
  for (int i = 0; i < n; ++i)
    if (counts[i] > 0) sum += counts[i] * std::log(counts[i] / total);
  return -sum / total;
}

}  // namespace

Information information(const double* histogram, int fixed_bins, int moving_bins) {
  std::vector<double> fixed(std::size_t(fixed_bins), 0.0), moving(std::size_t(moving_bins), 0.0);
  double total = 0;
  for (int f = 0; f < fixed_bins; ++f)
    for (int m = 0; m < moving_bins; ++m) {
      const double count = histogram[f * moving_bins + m];
      fixed[std::size_t(f)] += count;
      moving[std::size_t(m)] += count;
      total += count;
    }
  if (!(total > 0)) return {0, 0, 0};
  return {entropy(fixed.data(), fixed_bins, total), entropy(moving.data(), moving_bins, total),
          entropy(histogram, fixed_bins * moving_bins, total)};
}

double correlation(const double* histogram, int fixed_bins, int moving_bins) {
  double total = 0, f1 = 0, m1 = 0, f2 = 0, m2 = 0, both = 0;
  for (int f = 0; f < fixed_bins; ++f)
    for (int m = 0; m < moving_bins; ++m) {
      const double count = histogram[f * moving_bins + m];
      total += count;
      f1 += count * f;
      m1 += count * m;
      f2 += count * f * f;
      m2 += count * m * m;
      both += count * f * m;
    }
  const double fixed = total * f2 - f1 * f1, moving = total * m2 - m1 * m1;
  return fixed > 0 && moving > 0 ? (total * both - f1 * m1) / std::sqrt(fixed * moving) : 0;
}

}  // namespace mmreg
