// Smoothing, pooling and features.
#include "tests/each.h"

namespace mmreg::test {
namespace {

// Checks that a filter whose weights sum to 1 preserves a constant image and works in place where documented.
void keeps_a_constant(const Values& filtered) {
  for (float value : filtered) CHECK_NEAR(value, 7, 1e-5);
}

Extent pooled(Extent n, const int factor[3]) {
  return {(n.d + factor[0] - 1) / factor[0], (n.h + factor[1] - 1) / factor[1], (n.w + factor[2] - 1) / factor[2]};
}

}  // namespace

TEST(filters, gaussian_keeps_a_constant_and_works_in_place) {
  hold(
      [](const Context& context, Extent n) {
        const float sigma_vox[3] = {0.7f, 0.f, 2.5f};  // wider than most of the extents; none along axis 1
        const Values image = uniform(2 * voxels(n), 0, 1), constant(image.size(), 7.f);
        Values out(image.size()), in_place = image;
        context.gaussian(view(constant, n, 2), sigma_vox, out.data());
        keeps_a_constant(out);
        context.gaussian(view(image, n, 2), sigma_vox, out.data());
        context.gaussian(view(in_place, n, 2), sigma_vox, in_place.data());
        CHECK(same_bits(in_place, out));
        return out;
      },
      2e-6);
}

TEST(filters, box_keeps_a_constant_and_works_in_place) {
  hold(
      [](const Context& context, Extent n) {
        const int radius[3] = {1, 0, 4};
        const Values image = uniform(2 * voxels(n), 0, 1), constant(image.size(), 7.f);
        Values out(image.size()), in_place = image;
        context.box(view(constant, n, 2), radius, out.data());
        keeps_a_constant(out);
        context.box(view(image, n, 2), radius, out.data());
        context.box(view(in_place, n, 2), radius, in_place.data());
        CHECK(same_bits(in_place, out));
        return out;
      },
      5e-6);
}

TEST(filters, pooling_keeps_a_constant_and_takes_part_blocks_at_the_border) {
  hold(
      [](const Context& context, Extent n) {
        const int factor[3] = {2, 1, 3};
        const Values image = uniform(2 * voxels(n), 0, 1), constant(image.size(), 7.f);
        Values out(size(2 * voxels(pooled(n, factor))));
        context.pool(view(constant, n, 2), factor, out.data());
        keeps_a_constant(out);
        context.pool(view(image, n, 2), factor, out.data());
        return out;
      },
      1e-6);
}

TEST(filters, pooling_of_features_keeps_unused_channels_zero) {
  hold(
      [](const Context& context, Extent n) {
        const int factor[3] = {3, 2, 2};
        Halves features = narrowed(uniform(16 * voxels(n), 0, 1)), out(size(16 * voxels(pooled(n, factor))));
        for (std::size_t i = 12; i < features.size(); i += i % 16 == 15 ? 13 : 1) features[i] = Half{0};
        context.pool_features(view(features, n, 16), factor, out.data());
        for (std::size_t i = 12; i < out.size(); i += i % 16 == 15 ? 13 : 1) CHECK(out[i].bits == 0);
        return widened(out);
      },
      1e-3);  // the spacing of halves
}

TEST(filters, mind_is_one_where_nothing_changes) {
  hold(
      [](const Context& context, Extent n) {
        const Values image = uniform(voxels(n), 0, 100), constant(image.size(), 7.f);
        Values features(size(12 * voxels(n)));
        context.mind(view(constant, n), 1, 2, features.data());
        for (float value : features) CHECK(value == 1.f);
        context.mind(view(image, n), 1, 2, features.data());
        for (float value : features) CHECK(value > 0 && value <= 1);
        return features;
      },
      1e-4);
}

TEST(filters, intensities_end_in_0_to_1) {
  for (const Normalisation& rule :
       {Normalisation{Normalisation::percentile, 5, 90}, Normalisation{Normalisation::minmax, 0, 0}})
    hold(
        [&](const Context& context, Extent n) {
          const Values image = uniform(voxels(n), -30, 100);
          Values out(image.size());
          Extremes all{};
          context.normalise(image.data(), voxels(n), rule, out.data(), &all);
          CHECK(all.not_finite == 0 && all.smallest <= all.largest);
          for (float value : out) CHECK(value >= 0 && value <= 1);
          return out;
        },
        1e-6);
}

TEST(filters, mind_in_half_precision_has_four_zero_channels) {
  hold(
      [](const Context& context, Extent n) {
        const Values image = uniform(voxels(n), 0, 100);
        Values planar(size(12 * voxels(n)));
        Halves features(size(16 * voxels(n)));
        context.mind(view(image, n), 2, 1, planar.data());
        context.mind_half(view(image, n), 2, 1, features.data());
        for (std::int64_t i = 0; i < voxels(n); ++i)
          for (int c = 0; c < 16; ++c) {
            const float result = scalar::widen(features[size(16 * i + c)]);
            CHECK_NEAR(result, (c < 12 ? planar[size(c * voxels(n) + i)] : 0.f), 6e-4);
          }
        return widened(features);
      },
      1e-3);
}

}  // namespace mmreg::test
