// Similarity of two images, and the operations of the alignment.
#include <algorithm>
#include <limits>
#include <numeric>

#include "tests/each.h"

namespace mmreg::test {

TEST(similarity, an_image_correlates_fully_with_a_scaled_copy) {
  hold(
      [](const Context& context, Extent n) {
        const Values fixed = uniform(voxels(n), 0, 1), other = uniform(voxels(n), 0, 1, 2);
        Values scaled = fixed, map(fixed.size());
        for (float& value : scaled) value = 3 - 2 * value;
        const double same = context.local_ncc(fixed.data(), scaled.data(), n, 2, nullptr);
        if (voxels(n) > 1) CHECK_NEAR(same, 1, 1e-2);  // the variance has a small floor
        const double result = context.local_ncc(fixed.data(), other.data(), n, 2, map.data());
        CHECK(result >= 0 && result <= 1);
        CHECK_NEAR(std::accumulate(map.begin(), map.end(), 0.0) / double(map.size()), result, 1e-4);
        return map;
      },
      1e-3);
}

TEST(similarity, a_joint_histogram_counts_every_voxel_of_the_mask) {
  for (Parzen parzen : {Parzen::none, Parzen::cubic})
    hold(
        [&](const Context& context, Extent n) {
          const std::int64_t count = voxels(n);
          const Values fixed = uniform(count, -1, 2), moving = uniform(count, -1, 2, 2);  // also beyond the bins
          std::vector<std::uint8_t> mask(size(count));
          for (std::size_t i = 0; i < mask.size(); ++i) mask[i] = i % 3 != 1;
          std::vector<double> all(20 * 33), masked(20 * 33);
          const Binning f = {0, 1, 20}, m = {0, 1, 33};
          context.joint_histogram(fixed.data(), moving.data(), nullptr, count, f, m, parzen, all.data());
          context.joint_histogram(fixed.data(), moving.data(), mask.data(), count, f, m, parzen, masked.data());
          CHECK_NEAR(std::accumulate(all.begin(), all.end(), 0.0), double(count), 1e-6 * double(count));
          CHECK_NEAR(std::accumulate(masked.begin(), masked.end(), 0.0),
                     double(std::count(mask.begin(), mask.end(), 1)), 1e-6 * double(count));
          return Values(masked.begin(), masked.end());
        },
        1e-4);
}

TEST(similarity, percentiles_are_order_statistics_of_the_finite_voxels) {
  hold(
      [](const Context& context, Extent n) {
        Values image = uniform(voxels(n) + 1, -1, 1);
        image.back() = std::numeric_limits<float>::infinity();
        const double fractions[] = {0, 0.25, 0.5, 1};
        Values result(4);
        CHECK(context.percentiles(image.data(), nullptr, voxels(n) + 1, fractions, 4, result.data()) == voxels(n));
        CHECK(result[0] == *std::min_element(image.begin(), image.end() - 1));
        CHECK(result[3] == *std::max_element(image.begin(), image.end() - 1));
        CHECK(result[0] <= result[1] && result[1] <= result[2] && result[2] <= result[3]);
        const std::vector<std::uint8_t> nothing(image.size(), 0);
        CHECK(context.percentiles(image.data(), nothing.data(), voxels(n), fractions, 4, result.data()) == 0);
        return result;
      },
      0);
}

TEST(similarity, percentiles_of_few_and_of_many_voxels_are_those_of_the_sorted_ones) {
  for (const int count : {1, 2, 7, 4099, 32768, 32769, 70001})
    for (const int distinct : {1, 3, 1000000}) {  // background repeats one value
      Values image = uniform(count, -1, 1), sorted;
      std::vector<std::uint8_t> mask(image.size(), 1);
      for (std::size_t i = 0; i < image.size(); ++i) {
        image[i] = std::round(image[i] * float(distinct)) / float(distinct);
        mask[i] = i % 5 != 3;
        if (mask[i]) sorted.push_back(image[i]);
      }
      std::sort(sorted.begin(), sorted.end());
      const double fractions[] = {0, 0.005, 0.25, 0.5, 0.995, 1};
      for (const Operations* target : all_tables()) {
        float result[6] = {};
        const auto queue = open(*target, 2);
        const Context context(*target, *queue);
        CHECK(context.percentiles(image.data(), mask.data(), count, fractions, 6, result) ==
              std::int64_t(sorted.size()));
        for (int k = 0; k < 6; ++k) {
          const double position = fractions[k] * double(sorted.size() - 1), low = std::floor(position);
          const float a = sorted[std::size_t(low)], b = sorted[std::min(std::size_t(low) + 1, sorted.size() - 1)];
          CHECK(result[k] == float(a + (position - low) * (double(b) - a)));
        }
      }
    }
}

namespace {

IntensityMap identity() {  // the identity on [0, 1]
  IntensityMap map = {0, 1, {}};
  for (int i = 0; i <= IntensityMap::steps; ++i) map.knot[i] = float(i) / IntensityMap::steps;
  return map;
}

}  // namespace

TEST(similarity, condensing_by_one_keeps_the_image_and_masks_it) {
  hold(
      [](const Context& context, Extent n) {
        const Values image = uniform(voxels(n), 0, 1);
        std::vector<std::uint8_t> mask(image.size(), 1);
        mask[0] = 0;
        Values out(image.size());
        context.pool_mapped(view(image, n), mask.data(), Extent{1, 1, 1}, identity(), out.data());
        CHECK(std::isnan(out[0]));
        for (std::size_t i = 1; i < out.size(); ++i) CHECK_NEAR(out[i], image[i], 1e-5);
        const Extent factor = {std::min(n.d, 2), std::min(n.h, 2), std::min(n.w, 3)};
        Values small(size(voxels({n.d / factor.d, n.h / factor.h, n.w / factor.w})));
        context.pool_mapped(view(image, n), nullptr, factor, identity(), small.data());
        return small;
      },
      1e-5);
}

TEST(similarity, samples_lie_inside_or_are_no_number) {
  hold(
      [](const Context& context, Extent n) {
        const Values image = uniform(voxels(n), 0, 1);
        const std::int64_t count = 45;
        Values points = uniform(3 * count, -3, 20), result(size(count));
        points[0] = 3e38f;
        points[1] = -3e38f;
        points[2] = std::numeric_limits<float>::quiet_NaN();
        points[3] = points[size(3 + count)] = points[size(3 + 2 * count)] = 0;  // the first voxel itself
        context.sample_points(view(image, n), nullptr, points.data(), count, result.data());
        CHECK(std::isnan(result[0]) && std::isnan(result[1]) && std::isnan(result[2]));
        CHECK_NEAR(result[3], image[0], 1e-6);
        for (float& value : result) {
          CHECK(std::isnan(value) || (value >= 0 && value <= 1));
          value = std::isnan(value) ? -1 : value;
        }
        return result;
      },
      1e-4);
}

TEST(similarity, a_sample_histogram_weighs_what_is_covered) {
  hold(
      [](const Context& context, Extent n) {
        const std::int64_t count = 70;
        const Values image = uniform(voxels(n), 0, 1), values = uniform(count, 0, 1), points = uniform(3 * count, 0, 9);
        const SampleList fixed = {points.data(), values.data(), count};
        const IndexMap maps[] = {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}},     // all samples on the first voxel
                                 {{1, 0, 0, 1e9f, 0, 1, 0, 0, 0, 0, 1, 0}},  // all outside
                                 {{0.5f, 0, 0, -1, 0, 1, 0.2f, 0, 0, 0, 2, -3}}};
        Values histograms(3 * 16 * 16), gain(16 * 16, 1.f);
        context.sample_histogram(fixed, view(image, n), maps, 3, 16, histograms.data());
        const auto sum = [&](int k) {
          return std::accumulate(&histograms[size(256 * k)], &histograms[size(256 * k)] + 256, 0.0);
        };
        CHECK_NEAR(sum(0), double(count), 1e-3);
        CHECK(sum(1) == 0);
        double gradient[12];
        context.sample_gradient(fixed, view(image, n), maps[1], 16, gain.data(), gradient);
        for (double slope : gradient) CHECK(slope == 0);
        context.sample_gradient(fixed, view(image, n), maps[2], 16, gain.data(), gradient);
        for (double slope : gradient) CHECK(std::isfinite(slope));
        return histograms;
      },
      2e-3);
}

}  // namespace mmreg::test
