// Edges and their agreement, compared with their definition in double precision on images that linear interpolation
// reproduces exactly.
#include "solver/align/edges.h"

#include <functional>
#include <limits>

#include "tests/each.h"

namespace mmreg::test {
namespace {

constexpr Extent kExtent = {9, 10, 11};
const std::vector<Point> kAxes = {{{1, 0, 0}}, {{0, 1, 0}}, {{0, 0, 1}}};

using Image = std::function<double(const Point&)>;

double twisted(const Point& p) { return 0.1 + 0.01 * p.x[0] * p.x[1] - 0.03 * p.x[1] * p.x[2] + 0.02 * p.x[2]; }

PyramidLevel level_of(const Context& context, const Image& image) {
  Values values;
  for (int z = 0; z < kExtent.d; ++z)
    for (int y = 0; y < kExtent.h; ++y)
      for (int x = 0; x < kExtent.w; ++x) values.push_back(float(image({{double(z), double(y), double(x)}})));
  Buffer<float> memory(context, kExtent);
  memory.upload(values.data());
  return {std::move(memory), AffineMap()};
}

std::vector<Point> places(std::uint64_t seed) {
  const Values numbers = uniform(60, 2, 6, seed);
  std::vector<Point> points;
  for (std::size_t i = 0; i < numbers.size(); i += 3)
    points.push_back({{double(numbers[i]), double(numbers[i + 1]), double(numbers[i + 2])}});
  return points;
}

// Definition: central differences, weights relative to their mean square, and the mean of cos^2 - 1 / dims.
std::vector<Point> differences(const Image& image, const std::vector<Point>& points, const std::vector<Point>& axes) {
  std::vector<Point> out;
  for (const Point& p : points) {
    Point g{};
    for (std::size_t k = 0; k < axes.size(); ++k) g.x[k] = image(p + axes[k]) - image(p - axes[k]);
    out.push_back(g);
  }
  return out;
}

std::vector<double> weights(const std::vector<Point>& differences) {
  double mean = 0;
  for (const Point& g : differences) mean += dot(g, g) / double(differences.size());
  std::vector<double> out;
  for (const Point& g : differences) out.push_back(dot(g, g) / (dot(g, g) + mean));
  return out;
}

double expected_agreement(const std::vector<Point>& a, const std::vector<Point>& b, int dims) {
  const std::vector<double> wa = weights(a), wb = weights(b);
  double both = 0, first = 0, second = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double cosine = dot(a[i], b[i]) / (length(a[i]) * length(b[i]));
    both += wa[i] * wb[i] * (cosine * cosine - 1.0 / dims) / (1 - 1.0 / dims);
    first += wa[i] * wa[i];
    second += wb[i] * wb[i];
  }
  return both / std::sqrt(first * second);
}

void on_every_target(const std::function<void(const Context&)>& check) {
  for (const Operations* target : all_tables()) check(Context(*target, *open(*target, 2)));
}

}  // namespace

TEST(edges, they_are_central_differences_weighted_by_their_mean_square) {
  // Trilinear interpolation reproduces products of coordinates; float32 rounds values below 3.
  const std::vector<Point> points = places(5), expected = differences(twisted, points, kAxes);
  const std::vector<double> weight = weights(expected);
  on_every_target([&](const Context& context) {
    const Edges result = edges(context, level_of(context, twisted), points, kAxes);
    for (std::size_t i = 0; i < points.size(); ++i) {
      CHECK_NEAR(length(result.direction[i] - (1 / length(expected[i])) * expected[i]), 0, 2e-5);
      CHECK_NEAR(result.weight[i], weight[i], 2e-5);
    }
  });
}

TEST(edges, agreement_is_the_mean_squared_cosine_beyond_chance) {
  const Image other = [](const Point& p) { return 0.02 * p.x[0] * p.x[2] + 0.05 * p.x[1] - 0.01 * p.x[0]; };
  const std::vector<Point> points = places(8);
  for (const int dims : {2, 3}) {
    const std::vector<Point> axes(kAxes.begin(), kAxes.begin() + dims);
    const double expected =
        expected_agreement(differences(twisted, points, axes), differences(other, points, axes), dims);
    on_every_target([&](const Context& context) {
      const Edges a = edges(context, level_of(context, twisted), points, axes);
      const Edges b = edges(context, level_of(context, other), points, axes);
      CHECK_NEAR(agreement(a, b, dims), expected, 1e-4);
      CHECK_NEAR(agreement(b, a, dims), expected, 1e-4);
    });
  }
}

TEST(edges, contrast_and_brightness_do_not_change_them) {
  const std::vector<Point> points = places(2);
  const Image inverted = [](const Point& p) { return 0.7 - 0.25 * twisted(p); };
  on_every_target([&](const Context& context) {
    const Edges a = edges(context, level_of(context, twisted), points, kAxes);
    const Edges b = edges(context, level_of(context, inverted), points, kAxes);
    CHECK_NEAR(agreement(a, a, 3), 1, 1e-12);
    CHECK_NEAR(agreement(a, b, 3), 1, 1e-4);
  });
}

TEST(edges, a_flat_image_has_none_and_agrees_with_nothing) {
  const std::vector<Point> points = places(2);
  on_every_target([&](const Context& context) {
    const Edges flat = edges(context, level_of(context, [](const Point&) { return 0.5; }), points, kAxes);
    for (const double weight : flat.weight) CHECK(weight == 0);
    CHECK(agreement(flat, edges(context, level_of(context, twisted), points, kAxes), 3) == 0);
  });
}

TEST(edges, points_at_which_one_scan_is_unknown_lower_the_agreement_by_the_root_of_their_share) {
  std::vector<Point> points = places(4), half_outside = points;
  for (std::size_t i = 0; i < points.size(); i += 2) half_outside[i] = {{100, 0, 0}};
  on_every_target([&](const Context& context) {
    const PyramidLevel level = level_of(context, twisted);
    const Edges all = edges(context, level, points, kAxes), half = edges(context, level, half_outside, kAxes);
    Edges known = half;
    for (std::size_t i = 0; i < points.size(); ++i) CHECK(std::isnan(half.weight[i]) == (i % 2 == 0));
    CHECK_NEAR(agreement(half, known, 3), std::sqrt(0.5), 1e-12);
    CHECK(agreement(all, half, 3) <= std::sqrt(0.5) + 1e-12);
  });
}

TEST(edges, the_metric_of_two_levels_is_highest_where_they_coincide) {
  const Image ball = [](const Point& p) { return std::exp(-0.15 * dot(p - Point{{4, 5, 5}}, p - Point{{4, 5, 5}})); };
  const std::vector<Point> points = places(6);
  Values samples(3 * points.size());
  for (std::size_t i = 0; i < points.size(); ++i)
    for (int k = 0; k < 3; ++k) samples[k * points.size() + i] = float(points[i].x[k] - 4);
  on_every_target([&](const Context& context) {
    const PyramidLevel level = level_of(context, ball);
    const FixedSamples drawn = {uploaded(context, samples), uploaded(context, samples), std::int64_t(points.size())};
    const auto fixed = std::make_shared<const FixedEdges>(fixed_edges(context, drawn, level, {{4, 4, 4}}, 1, kAxes));
    const EdgeMetric metric(context, fixed, level);
    const double here = metric.at(translation({{4, 4, 4}}));
    CHECK_NEAR(here, 1, 1e-3);  // float32 coordinates
    for (const Point& shift : {Point{{1, 0, 0}}, Point{{0, -1.5, 0}}, Point{{0.5, 0.5, 1}}})
      CHECK(metric.at(translation(Point{{4, 4, 4}} + shift)) < here);
  });
}

}  // namespace mmreg::test
