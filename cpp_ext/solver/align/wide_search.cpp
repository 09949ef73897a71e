#include "solver/align/wide_search.h"

#include <cmath>

namespace mmreg {
namespace {

constexpr double kFullTurn = 6.283185307179586;
constexpr int kRotations = 576;  // about 28 degrees apart
constexpr int kTurns = 48;       // in a plane

AffineMap from_quaternion(double x, double y, double z, double w) {
  const Point v = {{x, y, z}};
  const double sine = length(v), angle = 2 * std::atan2(sine, w);
  return rotation((sine > 0 ? angle / sine : 0) * v);
}

// Super-Fibonacci spirals (Alexa, CVPR 2022).
std::vector<AffineMap> rotations_in_space(int count) {
  const double phi = std::sqrt(2.0), psi = 1.533751168755204288118041;
  std::vector<AffineMap> out;
  for (int i = 0; i < count; ++i) {
    const double s = i + 0.5, t = s / count, r = std::sqrt(t), q = std::sqrt(1 - t);
    const double a = kFullTurn * s / phi, b = kFullTurn * s / psi;
    out.push_back(from_quaternion(r * std::sin(a), r * std::cos(a), q * std::sin(b), q * std::cos(b)));
  }
  return out;
}

std::vector<Point> shifts_along_axes(double step, const Point* normal) {
  std::vector<Point> out = {Point{}};
  for (int k = 0; k < 3; ++k)
    for (const double sign : {step, -step}) {
      Point p{};
      p.x[k] = sign;
      if (normal) p = p - dot(p, *normal) * *normal;
      out.push_back(p);
    }
  return out;
}

}  // namespace

std::vector<AffineMap> rotations(int count, const Point* normal) {
  if (!normal) return rotations_in_space(count);
  std::vector<AffineMap> out;
  for (int k = 0; k < count; ++k) out.push_back(rotation((k * kFullTurn / count) * *normal));
  return out;
}

std::vector<Candidate> search_rotations(const AlignmentMetric& metric, const AffineMap& centre, double shift_mm,
                                        const Point* normal, const std::function<bool()>& stop) {
  std::vector<Candidate> out;
  const std::vector<Point> shifts = shifts_along_axes(shift_mm, normal);
  for (const AffineMap& turn : rotations(normal ? kTurns : kRotations, normal)) {
    if (stop()) break;
    std::vector<AffineMap> maps;
    for (const Point& shift : shifts) maps.push_back(compose(translation(shift), compose(centre, turn)));
    const std::vector<MapScore> scores = metric.at(maps);
    for (std::size_t i = 0; i < maps.size(); ++i) out.push_back({maps[i], scores[i].climbed});
  }
  return out;
}

}  // namespace mmreg
