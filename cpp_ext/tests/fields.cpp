// Sampling, and operations on displacement fields.
#include <limits>

#include "ops/buffer.h"
#include "tests/each.h"

namespace mmreg::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();
constexpr Extent kMovingExtent = {3, 5, 19};

// Returns a displacement that reaches far outside, hits voxel centres, and has values that no index can represent.
Values wild(Extent n) {
  Values u = uniform(3 * voxels(n), -9, 25, 5);
  const float odd[] = {0.f, -0.f, 1.f, -1.f, 1e9f, -1e9f, 1e38f, kInfinity, -kInfinity, kNan};
  for (std::size_t i = 0, k = 0; i < u.size(); i += 3) u[i] = odd[k++ % 10];
  return u;
}

Values finite_only(Values values) {  // replaces NaN and infinity by numbers, so that targets can be compared
  for (float& value : values) value = std::isnan(value) ? 12345.f : std::isinf(value) ? 54321.f : value;
  return values;
}

}  // namespace

TEST(fields, warp_by_nothing_is_the_image_itself) {
  for (Interpolation how : {Interpolation::nearest, Interpolation::linear})
    for (Border border : {Border::zero, Border::extend})
      hold(
          [&](const Context& context, Extent n) {
            const Values image = uniform(2 * voxels(n), -1, 1), still(size(3 * voxels(n)), 0.f);
            Values out(image.size());
            std::vector<std::uint8_t> valid(size(voxels(n)));
            context.warp(view(image, n, 2), field_of(still, n), how, border, out.data(), valid.data());
            CHECK(same_bits(out, image));
            for (std::uint8_t v : valid) CHECK(v == 1);
            return out;
          },
          0);
}

TEST(fields, a_buffer_is_an_image_and_a_displacement_on_its_own_grid) {
  hold(
      [](const Context& context, Extent n) {
        const Values image = uniform(2 * voxels(kMovingExtent), -1, 1), to = wild(n);
        Buffer<float> moving(context, kMovingExtent, 2), u(context, n, 3), warped(context, n, 2);
        moving.upload(image.data());
        u.upload(to.data());
        context.warp(moving, u, Interpolation::linear, Border::extend, warped.data(), nullptr);
        Values result(warped.size()), out(size(2 * voxels(n)));
        warped.download(result.data());
        context.warp(view(image, kMovingExtent, 2), field_of(to, n), Interpolation::linear, Border::extend, out.data(),
                     nullptr);
        CHECK(same_bits(finite_only(result), finite_only(out)));
        const Extent row = uploaded(context, Values(7)).extent();
        CHECK(row.d == 1 && row.h == 1 && row.w == 7);
        return finite_only(out);
      },
      3e-5);
}

TEST(fields, warp_by_any_numbers_stays_inside_the_image) {
  for (Interpolation how : {Interpolation::nearest, Interpolation::linear, Interpolation::cubic})
    for (Border border : {Border::zero, Border::extend})
      hold(
          [&](const Context& context, Extent n) {
            const Values image = uniform(2 * voxels(kMovingExtent), 1, 2), u = wild(n);
            Values out(size(2 * voxels(n)));
            std::vector<std::uint8_t> valid(size(voxels(n)));
            context.warp(view(image, kMovingExtent, 2), field_of(u, n), how, border, out.data(), nullptr);
            context.warp(view(image, kMovingExtent, 2), field_of(u, n), how, border, out.data(), valid.data());
            for (std::int64_t i = 0; i < voxels(n); ++i) {
              bool finite = true;
              for (int axis = 0; axis < 3; ++axis) finite = finite && std::isfinite(u[size(i + axis * voxels(n))]);
              if (finite && how != Interpolation::cubic) CHECK(out[size(i)] >= 0 && out[size(i)] <= 2);
              if (!finite) CHECK(std::isnan(out[size(i)]) && valid[size(i)] == 0);
            }
            return finite_only(out);
          },
          3e-5);  // a coordinate of 30 voxels is rounded to 2e-6 of one
}

TEST(fields, warping_halves_is_widening_warping_and_narrowing) {
  for (Interpolation how : {Interpolation::nearest, Interpolation::linear, Interpolation::cubic})
    for (Border border : {Border::zero, Border::extend})
      hold(
          [&](const Context& context, Extent n) {
            const Halves image = narrowed(uniform(4 * voxels(kMovingExtent), -1, 2));
            const Values wide = widened(image), u = wild(n);
            Halves out(size(4 * voxels(n)));
            Values floats(out.size());
            context.warp_half(ImageView<const Half>{image.data(), kMovingExtent, 4}, field_of(u, n), how, border,
                              out.data(), nullptr);
            context.warp(view(wide, kMovingExtent, 4), field_of(u, n), how, border, floats.data(), nullptr);
            const Values result = finite_only(widened(out));
            CHECK(same_bits(result, finite_only(widened(narrowed(floats)))));
            return result;
          },
          2e-3);  // two adjacent halves between 1 and 2
}

TEST(fields, warped_labels_are_labels_of_the_image_or_zero) {
  hold(
      [](const Context& context, Extent n) {
        std::vector<std::int32_t> labels(size(voxels(kMovingExtent)), 2147483647), out(size(voxels(n)));
        const Values u = wild(n);
        context.warp_labels(ImageView<const std::int32_t>{labels.data(), kMovingExtent}, field_of(u, n), out.data());
        for (std::int32_t label : out) CHECK(label == 0 || label == 2147483647);
        return Values(out.begin(), out.end());
      },
      0);
}

TEST(fields, resampling_by_the_identity_is_the_image_itself) {
  hold(
      [](const Context& context, Extent n) {
        const double same[12] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0},
                     far[12] = {0, 9, 0, -1e9, 1, 0, 0, 1e30, 0, 0, 2, 3};
        const double turned[12] = {0.9, 0.1, -0.2, 1.5, -0.1, 0.8, 0.3, -2, 0.2, -0.3, 1.1, 0.7};
        const Values image = uniform(voxels(n), -1, 1);
        Values out(image.size());
        for (Interpolation how : {Interpolation::cubic, Interpolation::nearest, Interpolation::linear}) {
          context.resample_affine(view(image, n), far, n, how, Border::extend, out.data(), nullptr);
          for (float value : out) CHECK(std::isfinite(value));
          if (how == Interpolation::cubic) continue;  // its input is coefficients, not the image
          context.resample_affine(view(image, n), same, n, how, Border::zero, out.data(), nullptr);
          CHECK(same_bits(out, image));
        }
        context.resample_affine(view(image, n), turned, n, Interpolation::linear, Border::zero, out.data(), nullptr);
        return out;
      },
      2e-5);
}

TEST(fields, a_prefiltered_image_goes_through_its_own_voxels) {
  hold(
      [](const Context& context, Extent n) {
        const Values image = uniform(2 * voxels(n), -1, 1), still(size(3 * voxels(n)), 0.f);
        Values coefficients = image, out(image.size());
        context.prefilter(view(coefficients, n, 2), coefficients.data());
        context.warp(view(coefficients, n, 2), field_of(still, n), Interpolation::cubic, Border::extend, out.data(),
                     nullptr);
        for (std::size_t i = 0; i < out.size(); ++i) CHECK_NEAR(out[i], image[i], 1e-5);
        return coefficients;
      },
      1e-4);  // coefficients are up to 27 times the values
}

TEST(fields, composing_with_nothing_changes_nothing) {
  hold(
      [](const Context& context, Extent n) {
        const Values u = uniform(3 * voxels(n), -2, 2), still(u.size(), 0.f), far = wild(n);
        Values out(u.size());
        context.compose(u.data(), still.data(), n, out.data());
        CHECK(same_bits(out, u));
        context.compose(still.data(), u.data(), n, out.data());
        CHECK(same_bits(out, u));
        context.compose(far.data(), u.data(), n, out.data());
        context.compose(u.data(), u.data(), n, out.data());
        return out;
      },
      2e-5);
}

TEST(fields, the_flow_of_a_constant_velocity_is_that_velocity) {
  hold(
      [](const Context& context, Extent n) {
        const Values velocity = uniform(3 * voxels(n), -1, 1), constant(velocity.size(), 0.75f);
        Values u(velocity.size());
        for (int steps : {0, 1, 6}) {
          context.integrate(constant.data(), n, steps, u.data());
          for (float component : u) CHECK_NEAR(component, 0.75, 1e-6);
        }
        context.integrate(velocity.data(), n, 5, u.data());
        return u;
      },
      5e-5);
}

TEST(fields, an_inverse_undoes_the_displacement) {
  hold(
      [](const Context& context, Extent n) {
        const Values u = uniform(3 * voxels(n), -0.15f, 0.15f), far = wild(n);
        Values v(u.size()), back(u.size());
        context.invert(far.data(), n, 3, 1e-3f, v.data());  // need not converge, must return
        const Inversion residual = context.invert(u.data(), n, 60, 1e-4f, v.data());
        CHECK(residual.largest <= 2e-4 && residual.mean <= residual.largest);
        context.compose(v.data(), u.data(), n, back.data());
        for (float component : back) CHECK_NEAR(component, 0, 2e-4);
        return v;
      },
      1e-3);  // both stop within the tolerance
}

TEST(fields, jacobian_of_no_displacement_is_one_and_nothing_folds) {
  hold(
      [](const Context& context, Extent n) {
        const Values u = uniform(3 * voxels(n), -0.3f, 0.3f), still(u.size(), 0.f);
        Values det(size(voxels(n)));
        context.jacobian(still.data(), n, det.data());
        for (float d : det) CHECK(d == 1.f);
        const Folding folding = context.folding(still.data(), n);
        for (int way = 0; way < 9; ++way) CHECK(folding.count[way] == 0 && folding.smallest[way] >= 1);
        context.jacobian(u.data(), n, det.data());
        return det;
      },
      1e-5);
}

TEST(fields, folds_are_counted_the_same_for_any_threads) {
  hold(
      [](const Context& context, Extent n) {
        Values u = uniform(3 * voxels(n), -1.5f, 1.5f);
        const Folding folding = context.folding(u.data(), n);
        Values det(size(voxels(n))), result;
        context.jacobian(u.data(), n, det.data());
        std::int64_t folded = 0;
        for (float d : det) folded += !(d > 0);
        CHECK(folding.count[0] == folded);
        for (int way = 0; way < 9; ++way) result.push_back(float(folding.count[way]));
        u[0] = kNan;
        CHECK(context.folding(u.data(), n).count[0] >= (voxels(n) > 1));
        return result;
      },
      0);
}

TEST(fields, sums_and_lengths_leave_out_what_is_not_finite) {
  hold(
      [](const Context& context, Extent n) {
        Values u = uniform(3 * voxels(n), -2, 2);
        u[0] = kNan;
        const Summary summary = context.summary(u.data(), 3 * voxels(n));
        const MaxDisplacement displaced = context.max_displacement(u.data(), n);
        CHECK(summary.not_finite == 1 && displaced.not_finite == 1);
        CHECK(summary.smallest >= -2 && summary.largest < 2 && displaced.longest < std::sqrt(12.));
        return Values{float(summary.sum), float(summary.mean), float(summary.smallest), float(displaced.longest)};
      },
      1e-3);
}

}  // namespace mmreg::test
