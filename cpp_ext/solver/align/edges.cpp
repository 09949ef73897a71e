#include "solver/align/edges.h"

#include <cmath>

namespace mmreg {
namespace {

std::vector<float> values(const Context& context, const PyramidLevel& level, const std::vector<Point>& mm) {
  const AffineMap to_index = invert(level.affine);
  const std::size_t count = mm.size();
  std::vector<float> points(3 * count), out(count);
  for (std::size_t i = 0; i < count; ++i) {
    const Point p = apply(to_index, mm[i]);
    for (int k = 0; k < 3; ++k) points[k * count + i] = float(p.x[k]);
  }
  const Buffer<float> at = uploaded(context, points), seen(context, count);
  context.sample_points(level.image, nullptr, at.data(), std::int64_t(count), seen.data());
  seen.download(out.data());
  return out;
}

std::vector<Point> sample_places(const FixedSamples& samples) {
  std::vector<float> points(3 * samples.count);
  samples.points.download(points.data());
  std::vector<Point> out(samples.count);
  for (std::int64_t i = 0; i < samples.count; ++i)
    for (int k = 0; k < 3; ++k) out[i].x[k] = points[k * samples.count + i];
  return out;
}

}  // namespace

Edges edges(const Context& context, const PyramidLevel& level, const std::vector<Point>& points_mm,
            const std::vector<Point>& axes_mm) {
  const std::size_t count = points_mm.size(), dims = axes_mm.size();
  std::vector<Point> places;
  places.reserve(2 * dims * count);
  for (const Point& axis : axes_mm)
    for (const double sign : {1.0, -1.0})
      for (const Point& p : points_mm) places.push_back(p + sign * axis);
  const std::vector<float> seen = values(context, level, places);
  Edges out{std::vector<Point>(count), std::vector<double>(count)};
  double squares = 0, known = 0;
  for (std::size_t i = 0; i < count; ++i) {
    Point g{};
    for (std::size_t k = 0; k < dims; ++k) g.x[k] = double(seen[2 * k * count + i]) - seen[(2 * k + 1) * count + i];
    const double square = dot(g, g);
    out.direction[i] = (square > 0 ? 1 / std::sqrt(square) : 0) * g;
    out.weight[i] = square;
    if (square == square) {
      squares += square;
      known += 1;
    }
  }
  const double usual = squares / std::max(known, 1.0);
  for (double& w : out.weight) w = w > 0 ? w / (w + usual) : w;
  return out;
}

double agreement(const Edges& a, const Edges& b, int dims) {
  double both = 0, first = 0, second = 0, known = 0;
  for (std::size_t i = 0; i < a.weight.size(); ++i) {
    const double wa = a.weight[i], wb = b.weight[i];
    if (!(wa >= 0 && wb >= 0)) continue;
    const double cosine = dot(a.direction[i], b.direction[i]);
    both += wa * wb * (cosine * cosine - 1.0 / dims);
    first += wa * wa;
    second += wb * wb;
    known += 1;
  }
  if (!(first > 0 && second > 0)) return 0;
  return both / ((1 - 1.0 / dims) * std::sqrt(first * second)) * std::sqrt(known / double(a.weight.size()));
}

FixedEdges fixed_edges(const Context& context, const FixedSamples& samples, const PyramidLevel& fixed,
                       const Point& centre_mm, double reach_mm, const std::vector<Point>& axes) {
  FixedEdges out{sample_places(samples), {}, {}};
  for (const Point& axis : axes) out.axes_mm.push_back(reach_mm * axis);
  std::vector<Point> mm;
  for (const Point& p : out.points_mm) mm.push_back(p + centre_mm);
  out.edges = edges(context, fixed, mm, out.axes_mm);
  return out;
}

double EdgeMetric::at(const AffineMap& map) const {
  std::vector<Point> points, axes;
  for (const Point& p : fixed_->points_mm) points.push_back(apply(map, p));
  for (const Point& axis : fixed_->axes_mm) axes.push_back(rotate(map, axis));
  return agreement(fixed_->edges, edges(context_, moving_, points, axes), int(axes.size()));
}

}  // namespace mmreg
