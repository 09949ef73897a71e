// The deformable solver's operations: similarity gradient, Adam step, fold removal, and image statistics.
#include <algorithm>
#include <limits>
#include <numeric>

#include "tests/each.h"

namespace mmreg::test {
namespace {

std::vector<std::int32_t> whole_rows(Extent n) {
  std::vector<std::int32_t> rows(size(2 * std::int64_t(n.d) * n.h), 0);
  for (std::size_t i = 1; i < rows.size(); i += 2) rows[i] = n.w;
  return rows;
}

// Returns 12 features, then intensity and validity as append_intensity_channels writes them.
Halves features_of(const Context& context, Extent n, std::uint64_t seed) {
  Halves features = narrowed(uniform(16 * voxels(n), 0, 1, seed));
  const Values image = uniform(voxels(n), -1, 2, seed);  // also beyond the bins
  context.append_intensity_channels(view(image, n), nullptr, 25.f, 3.f, 16, features.data());
  return features;
}

}  // namespace

TEST(refinement, an_attached_image_is_inside_of_the_bins) {
  hold(
      [](const Context& context, Extent n) {
        const Values before = uniform(16 * voxels(n), 0, 1), image = uniform(voxels(n), -5, 5);
        std::vector<std::uint8_t> valid(image.size(), 1);
        valid[0] = 0;
        Halves features = narrowed(before);
        context.append_intensity_channels(view(image, n), valid.data(), 25.f, 3.f, 16, features.data());
        const Values result = widened(features), kept = widened(narrowed(before));
        for (std::size_t i = 0; i < valid.size(); ++i) {
          for (std::size_t c = 0; c < 12; ++c) CHECK(result[16 * i + c] == kept[16 * i + c]);
          CHECK(result[16 * i + 12] >= 2 && result[16 * i + 12] <= 29);
          CHECK(result[16 * i + 13] == float(valid[i]) && result[16 * i + 14] == 0 && result[16 * i + 15] == 0);
        }
        return result;
      },
      2e-2);  // the spacing of halves near 29
}

TEST(refinement, nothing_pulls_an_image_that_lies_on_itself) {
  hold(
      [](const Context& context, Extent n) {
        const Halves features = features_of(context, n, 3);
        const std::vector<std::int32_t> rows = whole_rows(n);
        const Values still(size(3 * voxels(n)), 0.f);
        Values pull(still.size(), 1.f);
        std::vector<double> histogram(kHistogramCells);
        SimilaritySums sums;
        context.similarity_gradient(SimilarityGradientArguments{features.data(), features.data(), 16, n, rows.data(),
                                                                still.data(), nullptr, 1, 0, pull.data(),
                                                                histogram.data(), &sums});
        for (float component : pull) CHECK(component == 0);
        CHECK(sums.features == 0 && sums.count == double(voxels(n)));
        CHECK_NEAR(std::accumulate(histogram.begin(), histogram.end(), 0.0), double(voxels(n)),
                   1e-3 * double(voxels(n)));
        return Values(histogram.begin(), histogram.end());
      },
      1e-2);  // thousands of weights in one bin: float32 on the CPU, fixed point on a device
}

TEST(refinement, a_force_far_outside_is_finite) {
  hold(
      [](const Context& context, Extent n) {
        const Halves fixed = features_of(context, n, 3), moving = features_of(context, n, 4);
        std::vector<std::int32_t> rows = whole_rows(n);
        rows[0] = rows[1] = 0;  // a row with nothing to compare
        Values u = uniform(3 * voxels(n), -3, 3), pull(u.size()), gain = uniform(kHistogramCells, -1, 1);
        u[0] = 1e9f;
        u[size(voxels(n))] = -1e9f;
        SimilaritySums sums;
        context.similarity_gradient(SimilarityGradientArguments{fixed.data(), moving.data(), 16, n, rows.data(),
                                                                u.data(), gain.data(), 0.7f, 0.3f, pull.data(), nullptr,
                                                                &sums});
        for (float component : pull) CHECK(std::isfinite(component));
        CHECK(pull[0] == 0 && std::isfinite(sums.features) && std::isfinite(sums.intensity_squared));
        return pull;
      },
      2e-3);
}

TEST(refinement, a_step_is_no_longer_than_the_rate) {
  hold(
      [](const Context& context, Extent n) {
        const Values pull = uniform(3 * voxels(n), -50, 50);
        Values mean(pull.size(), 0.f), square(size(voxels(n)), 0.f), step(pull.size());
        for (int iteration = 1; iteration <= 3; ++iteration)
          context.adam_step(AdamStepArguments{pull.data(), n, mean.data(), square.data(), iteration, 0.9f, 0.99f, 1e-3f,
                                              0.5f, step.data()});
        for (std::int64_t i = 0; i < voxels(n); ++i) {
          double length = 0;
          for (int k = 0; k < 3; ++k) length += std::pow(double(step[size(k * voxels(n) + i)]), 2);
          CHECK(std::sqrt(length) <= 0.5 * 1.001);
        }
        return step;
      },
      1e-4);
}

TEST(refinement, unfolding_leaves_no_fold_and_no_bit_of_a_still_field) {
  hold(
      [](const Context& context, Extent n) {
        Values u = uniform(3 * voxels(n), -1.5f, 1.5f), still(u.size(), 0.25f);
        CHECK(context.remove_folds(still.data(), n, 0.05f, 5) == 0);
        for (float component : still) CHECK(component == 0.25f);
        const std::int64_t left = context.remove_folds(u.data(), n, 0.05f, 60);
        CHECK(left == 0);
        const Folding folding = context.folding(u.data(), n);
        for (int way = 0; way < 9; ++way) CHECK(folding.count[way] == 0);
        return u;
      },
      10);  // rounding of a determinant near the floor decides whether a target smooths
}

TEST(refinement, interleaved_planes_lie_beside_each_other) {
  hold(
      [](const Context& context, Extent n) {
        const Values planes = uniform(5 * voxels(n), -1, 1);
        Halves features(size(16 * voxels(n)));
        context.interleave(view(planes, n, 5), 16, features.data());
        const Values values = widened(features);
        for (std::size_t i = 0; i < size(voxels(n)); ++i)
          for (std::size_t c = 0; c < 16; ++c)
            CHECK_NEAR(values[16 * i + c], c < 5 ? planes[c * size(voxels(n)) + i] : 0, 1e-3);
        return values;
      },
      0);
}

TEST(refinement, rows_hold_the_foreground_of_either_image) {
  hold(
      [](const Context& context, Extent n) {
        const Values fixed = uniform(voxels(n), 0, 1, 7), moving = uniform(voxels(n), 0, 1, 8);
        std::vector<std::int32_t> rows(size(2 * std::int64_t(n.d) * n.h));
        for (int margin : {3, 0}) {
          context.active_rows(fixed.data(), 0.9f, moving.data(), 0.95f, n, margin, rows.data());
          for (std::int64_t row = 0; row < std::int64_t(n.d) * n.h; ++row)
            for (int x = 0; x < n.w; ++x)
              if (fixed[size(row * n.w + x)] > 0.9f || moving[size(row * n.w + x)] > 0.95f)
                CHECK(rows[size(2 * row)] <= x && x < rows[size(2 * row + 1)]);
        }
        for (std::int32_t bound : rows) CHECK(bound >= 0 && bound <= n.w);
        return Values(rows.begin(), rows.end());
      },
      0);
}

TEST(refinement, detail_of_a_flat_image_is_none) {
  hold(
      [](const Context& context, Extent n) {
        const Values image = uniform(voxels(n), 0, 1), flat(image.size(), 0.5f);
        const Detail none = context.detail(view(flat, n), Foreground{0, 0, 1});
        for (double slope : none.slope) CHECK(slope == 0);
        const Detail result = context.detail(view(image, n), Foreground{0.3f, 0.1f, 0.9f});
        CHECK(result.count <= double(voxels(n)) && result.sum >= 0 && result.sum <= result.count);
        return Values{float(result.count), float(result.sum), float(result.slope[2])};
      },
      1e-2);
}

TEST(refinement, weights_undo_each_other_and_masks_choose) {
  hold(
      [](const Context& context, Extent n) {
        const std::int64_t count = voxels(n);
        const Values field = uniform(3 * count, -5, 5), weight = uniform(count, 0.5, 2);
        Values out(field.size()), chosen(size(count));
        context.multiply(view(field, n, 3), weight.data(), out.data());
        context.divide(view(out, n, 3), weight.data(), out.data());
        for (std::size_t i = 0; i < out.size(); ++i) CHECK_NEAR(out[i], field[i], 2e-6);  // two roundings of up to 10
        std::vector<std::uint8_t> mask(size(count));
        for (std::size_t i = 0; i < mask.size(); ++i) mask[i] = std::uint8_t(i % 3);
        context.where(mask.data(), count, field.data(), weight.data(), chosen.data());
        for (std::size_t i = 0; i < mask.size(); ++i) CHECK(chosen[i] == (mask[i] ? field[i] : weight[i]));
        return out;
      },
      0);
}

TEST(refinement, texture_of_a_ramp_has_no_noise_inside) {
  hold(
      [](const Context& context, Extent n) {
        const Values image = uniform(voxels(n), 0, 1);
        Values noise(image.size()), contrast(image.size()), flat(image.size(), 3.f), none(image.size());
        context.texture(view(flat, n), noise.data(), none.data());
        for (std::size_t i = 0; i < none.size(); ++i) CHECK(noise[i] < 1e-6f && none[i] == 0);
        context.texture(view(image, n), noise.data(), contrast.data());
        for (float value : contrast) CHECK(value >= 0 && value <= 0.5001f);  // of values in [0, 1]
        noise.insert(noise.end(), contrast.begin(), contrast.end());
        return noise;
      },
      1e-5);
}

TEST(refinement, flags_are_where_values_are_above_and_the_mask_is_set) {
  hold(
      [](const Context& context, Extent n) {
        const Values values = uniform(voxels(n), 0, 1);
        std::vector<std::uint8_t> mask(values.size()), flags(values.size());
        for (std::size_t i = 0; i < mask.size(); ++i) mask[i] = std::uint8_t(i % 3 * 100);
        context.threshold(values.data(), nullptr, voxels(n), 0.5f, flags.data());
        for (std::size_t i = 0; i < mask.size(); ++i) CHECK(bool(flags[i]) == (values[i] > 0.5f));
        context.threshold(values.data(), mask.data(), voxels(n), 0.5f, flags.data());
        for (std::size_t i = 0; i < mask.size(); ++i) CHECK(bool(flags[i]) == (values[i] > 0.5f && mask[i]));
        return Values(flags.begin(), flags.end());
      },
      0);
}

TEST(refinement, an_affine_map_is_added_in_place_as_well) {
  hold(
      [](const Context& context, Extent n) {
        const double same[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1}, nothing[12] = {};
        const double linear[9] = {0.9, 0.1, 0, -0.2, 1.1, 0.3, 0, 0, 2},
                     map[12] = {0, 0.1, 0.2, 1, 0, 0, 0, -2, 0.5, 0, 0, 0};
        const Values u = uniform(3 * voxels(n), -2, 2);
        Values out(u.size()), in_place = u, length(size(voxels(n))), sum = u;
        context.add_affine(u.data(), n, same, nothing, out.data());
        CHECK(same_bits(out, u));
        context.add_affine(u.data(), n, linear, map, out.data());
        context.add_affine(in_place.data(), n, linear, map, in_place.data());
        CHECK(same_bits(in_place, out));
        context.lengths(out.data(), n, length.data());
        for (std::int64_t i = 0; i < voxels(n); ++i)
          CHECK_NEAR(length[size(i)], std::hypot(out[size(i)], out[size(i + voxels(n))], out[size(i + 2 * voxels(n))]),
                     1e-4);
        context.axpby(3 * voxels(n), 2.f, u.data(), -2.f, sum.data(), sum.data());
        for (float value : sum) CHECK(value == 0);
        return out;
      },
      2e-5);
}

}  // namespace mmreg::test
