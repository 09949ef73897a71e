// The alignment on critical extents and contents: its maps must be finite, the rigid one must be a rotation, and
// results must not depend on the number of threads.
#include "solver/align/align.h"

#include <cmath>
#include <limits>

#include "tests/each.h"

namespace mmreg::test {
namespace {

constexpr float kNone = std::numeric_limits<float>::quiet_NaN();

// Returns an asymmetric bump around `centre`, in mm, on a 2 mm grid from the origin; `sign` inverts the contrast.
Values bump(Extent n, Point centre, float sign) {
  Values values;
  for (int z = 0; z < n.d; ++z)
    for (int y = 0; y < n.h; ++y)
      for (int x = 0; x < n.w; ++x) {
        const double a = (2 * z - centre.x[0]) / 9, b = (2 * y - centre.x[1]) / 12, c = (2 * x - centre.x[2]) / 7;
        const double r = a * a + b * b + c * c, lump = (a - 0.5) * (a - 0.5) + b * b + (c - 0.5) * (c - 0.5);
        values.push_back(sign * float(std::exp(-r) + (r < 2 ? 1.0 : 0.0) - 0.8 * std::exp(-4 * lump)));
      }
  return values;
}

Scan scan(const Values& values, Extent n, const std::uint8_t* mask = nullptr) {
  return {values.data(), n, {2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0}, mask};
}

bool never() { return false; }

void check_answer(const Alignment& alignment) {
  for (double value : alignment.rigid.m) CHECK(std::isfinite(value));
  for (double value : alignment.affine.m) CHECK(std::isfinite(value));
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j)
      CHECK_NEAR(dot(column(alignment.rigid, i), column(alignment.rigid, j)), i == j ? 1 : 0, 1e-9);
  CHECK_NEAR(determinant(alignment.rigid), 1, 1e-9);
}

}  // namespace

TEST(align, a_shift_is_found_on_every_target_with_the_same_bits_for_any_threads) {
  const Extent n = {26, 28, 30};
  const Values fixed = bump(n, {{24, 26, 27}}, 1), moving = bump(n, {{30, 22, 33}}, -1);
  for (const Operations* target : all_tables()) {
    const Alignment one = align(Context(*target, *open(*target, 1)), scan(fixed, n), scan(moving, n), {}, never);
    const Alignment three = align(Context(*target, *open(*target, 3)), scan(fixed, n), scan(moving, n), {}, never);
    CHECK(one.complete && one.rigid_complete && one.informative);
    const Point to = apply(one.rigid, {{24, 26, 27}});
    CHECK_NEAR(length(to - Point{{30, 22, 33}}), 0, 0.7);  // a third of a voxel
    for (int k = 0; k < 12; ++k) CHECK(one.affine.m[k] == three.affine.m[k]);
    check_answer(one);
  }
}

TEST(align, any_extent_gets_an_answer) {
  const Operations& target = *all_targets().front();
  for (const Extent n : edge_extents)
    for (const Extent m : {Extent{1, 1, 1}, Extent{1, 12, 13}, Extent{6, 9, 11}}) {
      const Values fixed = uniform(voxels(n), 0, 1), moving = uniform(voxels(m), -5, 5, 2);
      check_answer(align(Context(target, *open(target, 2)), scan(fixed, n), scan(moving, m), {}, never));
    }
}

TEST(align, unknown_voxels_and_empty_masks_get_an_answer) {
  const Operations& target = *all_targets().front();
  const Extent n = {9, 11, 13};
  const std::vector<std::uint8_t> nothing(size(voxels(n)));
  Values holes = uniform(voxels(n), 0, 1), extreme = holes;
  for (std::size_t i = 0; i < holes.size(); i += 2) holes[i] = kNone;
  for (std::size_t i = 0; i < extreme.size(); i += 3) extreme[i] = i % 2 ? 3e38f : -3e38f;
  const Values unknown(holes.size(), kNone), constant(holes.size(), 7.f), plain = uniform(voxels(n), 0, 1, 3);
  const Values* const cases[] = {&holes, &extreme, &unknown, &constant};
  for (const Values* moving : cases)
    for (const std::uint8_t* mask : {static_cast<const std::uint8_t*>(nullptr), nothing.data()})
      check_answer(align(Context(target, *open(target, 1)), scan(plain, n), scan(*moving, n, mask), {}, never));
}

TEST(align, time_may_be_up_at_any_moment) {
  const Operations& target = *all_targets().front();
  const Extent n = {14, 15, 16};
  const Values fixed = bump(n, {{13, 14, 15}}, 1), moving = bump(n, {{15, 13, 16}}, -1);
  for (int limit : {0, 1, 2, 50, 200, 260, 300, 350, 400, 500}) {
    int calls = 0;
    check_answer(
        align(Context(target, *open(target, 1)), scan(fixed, n), scan(moving, n), {}, [&] { return ++calls > limit; }));
  }
}

TEST(align, maps_invert_and_compose) {
  AffineMap map;
  const Values numbers = uniform(12, -1, 1);
  for (int k = 0; k < 12; ++k) map.m[k] += double(numbers[size(k)]) * (k % 4 == 3 ? 50 : 0.3);
  const AffineMap same = compose(invert(map), map);
  for (int k = 0; k < 12; ++k) CHECK_NEAR(same.m[k], AffineMap().m[k], 1e-12);
  double s[3];
  singular_values(compose(rotation({{0.3, -0.9, 0.4}}), map), s);
  CHECK_NEAR(s[0] * s[1] * s[2], std::abs(determinant(map)), 1e-9);
  CHECK_NEAR(length(rotate(rotation_between({{1, 0, 0}}, {{0, 0.6, 0.8}}), {{1, 0, 0}}) - Point{{0, 0.6, 0.8}}), 0,
             1e-12);
}

}  // namespace mmreg::test
