#include "bind/filters.h"

namespace mmreg::bind {

static int displacements(const Triple& radius) {
  for (int r : radius) require(r >= 0 && r <= 32, "radius must be between 0 and 32 cells");
  return (2 * radius[0] + 1) * (2 * radius[1] + 1) * (2 * radius[2] + 1);
}

using Features = In<std::uint16_t, 4>;

static Extent check(const Features& fixed, const Features& moving, int used) {
  for (int axis = 0; axis < 4; ++axis)
    require(fixed.shape(axis) == moving.shape(axis), "fixed and moving must have the same shape (D, H, W, C)");
  require(fixed.shape(3) % 16 == 0, "features must have shape (D, H, W, C), C a multiple of 16");
  require(used >= 1 && used <= int(fixed.shape(3)), "used must be between 1 and C");
  return extent(fixed, 0);
}

static Out<float> cost_volume(Features fixed, Features moving, int used, Triple radius, int threads,
                              const Target& target) {
  const Extent n = check(fixed, moving, used);
  Out<float> out = make<float>({n.d, n.h, n.w, displacements(radius)});
  Call call(target, threads);
  call->cost_volume(call.features(fixed), half(call.in(moving)), used, radius.data(), call.out(out));
  return out;
}

static Out<std::uint16_t> cost_volume_half(Features fixed, Features moving, int used, Triple radius, int threads,
                                           const Target& target) {
  const Extent n = check(fixed, moving, used);
  Out<std::uint16_t> out = make<std::uint16_t>({n.d, n.h, n.w, displacements(radius)});
  Call call(target, threads);
  call->cost_volume_half(call.features(fixed), half(call.in(moving)), used, radius.data(), half(call.out(out)));
  return out;
}

static Out<float> smooth_cost(In<float, 4> cost, int radius, int threads, const Target& target) {
  require(radius >= 0 && radius <= 16, "radius must be between 0 and 16 cells");
  const Extent n = extent(cost, 0);
  const int count = int(cost.shape(3));
  Out<float> out = make<float>({n.d, n.h, n.w, count});
  Call call(target, threads);
  call->smooth_cost(call.in(cost), n, count, radius, call.out(out));
  return out;
}

static Out<std::uint16_t> smooth_cost_half(Features cost, int radius, int threads, const Target& target) {
  require(radius >= 0 && radius <= 16, "radius must be between 0 and 16 cells");
  const Extent n = extent(cost, 0);
  const int count = int(cost.shape(3));
  Out<std::uint16_t> out = make<std::uint16_t>({n.d, n.h, n.w, count});
  Call call(target, threads);
  call->smooth_cost_half(half(call.in(cost)), n, count, radius, half(call.out(out)));
  return out;
}

template <class Cost>
static Extent check(const Cost& cost, const In<float, 4>& u, const Triple& radius) {
  require(int(cost.shape(3)) == displacements(radius),
          "cost must have shape (D, H, W, K), K the product of 2 radius + 1");
  require(u.shape(0) == 3, "displacement must have shape (3, D, H, W), in voxels of the coarse grid");
  for (int axis = 0; axis < 3; ++axis)
    require(u.shape(axis + 1) == cost.shape(axis), "displacement and cost must be on the same grid");
  return extent(cost, 0);
}

static Out<float> coupled_convex(In<float, 4> cost, In<float, 4> u, Triple radius, float weight, int threads,
                                 const Target& target) {
  const Extent n = check(cost, u, radius);
  Out<float> out = make<float>({3, n.d, n.h, n.w});
  Call call(target, threads);
  call->coupled_convex(call.in(cost), call.in(u), n, radius.data(), weight, call.out(out));
  return out;
}

static Out<float> coupled_convex_half(Features cost, In<float, 4> u, Triple radius, float weight, int threads,
                                      const Target& target) {
  const Extent n = check(cost, u, radius);
  Out<float> out = make<float>({3, n.d, n.h, n.w});
  Call call(target, threads);
  call->coupled_convex_half(half(call.in(cost)), call.in(u), n, radius.data(), weight, call.out(out));
  return out;
}

void bind_search(nb::module_& m) {
  const auto def = [&](const char* name, auto f, auto... arguments) {
    m.def(name, f, arguments..., "threads"_a = 0, "target"_a = "");
  };
  const auto fixed = "fixed"_a.noconvert(), moving = "moving"_a.noconvert(), cost = "cost"_a.noconvert(),
             displacement = "displacement"_a.noconvert();
  def("cost_volume", &cost_volume, fixed, moving, "used"_a, "radius"_a);
  def("cost_volume_half", &cost_volume_half, fixed, moving, "used"_a, "radius"_a);
  def("smooth_cost", &smooth_cost, cost, "radius"_a);
  def("smooth_cost_half", &smooth_cost_half, cost, "radius"_a);
  def("coupled_convex", &coupled_convex, cost, displacement, "radius"_a, "weight"_a);
  def("coupled_convex_half", &coupled_convex_half, cost, displacement, "radius"_a, "weight"_a);
}

}  // namespace mmreg::bind
