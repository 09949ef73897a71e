#include "solver/math/affine_fit.h"

#include <algorithm>

namespace mmreg {
namespace {

constexpr int kRounds = 12;
constexpr double kScale = 1.5;         // scale of the weights, in median residuals
constexpr double kLeast_vox = 0.5;     // smallest scale of the weights
constexpr double kSpread_vox2 = 0.25;  // added to the variance of the points: an axis of less variance is not scaled

struct Match {
  Point from, shift;
  double weight = 1, residual = 0;
};

std::vector<Match> matches(const std::vector<float>& u, const std::vector<std::uint8_t>& mask, Extent n) {
  std::vector<Match> out;
  const std::size_t count = mask.size();
  for (std::size_t i = 0; i < count; ++i)
    if (mask[i]) {
      const int x = int(i % n.w), y = int(i / n.w % n.h), z = int(i / n.w / n.h);
      out.push_back({{{double(z), double(y), double(x)}}, {{u[i], u[count + i], u[2 * count + i]}}});
    }
  return out;
}

// Fits the shift as a linear function of the position about their weighted means: L = C(shift, from) C(from)^-1.
AffineMap least_squares(const std::vector<Match>& all) {
  double total = 0;
  Point from{}, shift{};
  for (const Match& m : all) {
    total += m.weight;
    from = from + m.weight * m.from;
    shift = shift + m.weight * m.shift;
  }
  from = (1 / total) * from;
  shift = (1 / total) * shift;
  AffineMap spread, both, out;
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j) {
      double s = i == j ? kSpread_vox2 * total : 0, b = 0;
      for (const Match& m : all) {
        const double at = m.weight * (m.from.x[j] - from.x[j]);
        s += at * (m.from.x[i] - from.x[i]);
        b += at * (m.shift.x[i] - shift.x[i]);
      }
      spread(i, j) = s;
      both(i, j) = b;
    }
  const AffineMap linear = compose(both, invert(spread));
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j) out(i, j) = linear(i, j) + (i == j);
  set_column(out, 3, shift + from - rotate(out, from));
  return out;
}

double median_residual(std::vector<Match>& all, const AffineMap& map) {
  std::vector<double> residual;
  for (Match& m : all) residual.push_back(m.residual = length(apply(map, m.from) - m.from - m.shift));
  std::nth_element(residual.begin(), residual.begin() + std::ptrdiff_t(residual.size() / 2), residual.end());
  return residual[residual.size() / 2];
}

}  // namespace

AffineFit fit_affine(const std::vector<float>& u, const std::vector<std::uint8_t>& mask, Extent n) {
  std::vector<Match> all = matches(u, mask, n);
  AffineFit fit{{}, 0, 0};
  if (all.empty()) return fit;
  for (int round = 0; round < kRounds; ++round) {
    fit.map = least_squares(all);
    fit.residual_vox = median_residual(all, fit.map);
    const double scale = std::max(kLeast_vox, kScale * fit.residual_vox);
    for (Match& m : all) m.weight = std::pow(1 + m.residual * m.residual / (scale * scale), -2);
  }
  for (const Match& m : all) fit.moved_vox += length(apply(fit.map, m.from) - m.from) / double(all.size());
  return fit;
}

bool plausible(const AffineMap& map) {
  double s[3];
  singular_values(map, s);
  return determinant(map) > 0 && s[0] > 0.6 && s[2] < 1.7 && s[2] / s[0] < 1.6;
}

}  // namespace mmreg
