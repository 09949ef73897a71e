// Bindings of the image statistics and field operations of the deformable solver.
#include <nanobind/stl/array.h>

#include <array>
#include <cstring>

#include "bind/arrays.h"

namespace mmreg::bind {

using Numbers = HostIn<double, 2>;

static nb::tuple remove_folds(HostIn<float, 4> u, float floor, int rounds, int threads, const Target& target) {
  require(u.shape(0) == 3, "displacement must have shape (3, D, H, W)");
  require(rounds >= 0, "rounds must not be negative");
  const Extent n = extent(u, 1);
  Out<float> out = make<float>({3, n.d, n.h, n.w});
  std::memcpy(out.data(), u.data(), u.size() * sizeof(float));
  std::int64_t left = 0;
  {
    Call call(target, threads);
    left = call->remove_folds(call.in_out(out), n, floor, rounds);
  }
  return nb::make_tuple(out, left);
}

static std::int64_t count_folds(In<float, 4> u, float floor, int threads, const Target& target) {
  require(u.shape(0) == 3, "displacement must have shape (3, D, H, W)");
  std::int64_t count = 0;
  {
    Call call(target, threads);
    call->count_folds(call.in(u), extent(u, 1), floor, call.out(&count, 1));
  }
  return count;
}

static Out<float> fill(float value, std::array<int, 3> shape, int threads, const Target& target) {
  require(shape[0] > 0 && shape[1] > 0 && shape[2] > 0, "shape must be three positive numbers");
  Out<float> out = make<float>({shape[0], shape[1], shape[2]});
  Call call(target, threads);
  call->fill(std::int64_t(out.size()), value, call.out(out));
  return out;
}

static nb::dict detail(In<float, 3> image, float background, float low, float high, int threads, const Target& target) {
  Detail d{};
  {
    Call call(target, threads);
    d = call->detail(call.image(image), Foreground{background, low, high});
  }
  nb::dict out;
  out["count"] = d.count;
  out["sum"] = d.sum;
  out["square"] = d.square;
  out["slope"] = nb::make_tuple(d.slope[0], d.slope[1], d.slope[2]);
  return out;
}

static Out<std::int32_t> active_rows(In<float, 3> fixed, float fixed_background, In<float, 3> moving,
                                     float moving_background, int margin, int threads, const Target& target) {
  const Extent n = extent(fixed, 0);
  for (int a = 0; a < 3; ++a) require(fixed.shape(a) == moving.shape(a), "images must have the same shape");
  require(margin >= 0, "margin must not be negative");
  Out<std::int32_t> rows = make<std::int32_t>({std::int64_t(n.d) * n.h, 2});
  Call call(target, threads);
  call->active_rows(call.in(fixed), fixed_background, call.in(moving), moving_background, n, margin, call.out(rows));
  return rows;
}

static Out<std::uint8_t> threshold(In<float, 3> values, Mask mask, float threshold, int threads, const Target& target) {
  require(!mask || mask->size() == values.size(), "mask must have the shape of the values");
  Out<std::uint8_t> flags = make_like<std::uint8_t>(values);
  Call call(target, threads);
  call->threshold(call.in(values), call.in(mask), std::int64_t(values.size()), threshold, call.out(flags));
  return flags;
}

static Out<float> axpby(float a, In<float, 3> x, float b, In<float, 3> y, int threads, const Target& target) {
  require(x.size() == y.size(), "x and y must have the same shape");
  Out<float> out = make_like<float>(x);
  Call call(target, threads);
  call->axpby(std::int64_t(x.size()), a, call.in(x), b, call.in(y), call.out(out));
  return out;
}

template <auto operation>
static Out<float> weighted(In<float, 4> field, In<float, 3> weight, int threads, const Target& target) {
  for (int a = 0; a < 3; ++a) require(field.shape(a + 1) == weight.shape(a), "weight must have the shape of a channel");
  Out<float> out = make_like<float>(field);
  Call call(target, threads);
  (call->operations().*operation)(call->queue(), call.image(field), call.in(weight), call.out(out));
  return out;
}

static Out<float> where(In<std::uint8_t, 3> mask, In<float, 3> inside, In<float, 3> outside, int threads,
                        const Target& target) {
  require(mask.size() == inside.size() && mask.size() == outside.size(), "all three must have the same shape");
  Out<float> out = make_like<float>(mask);
  Call call(target, threads);
  call->where(call.in(mask), std::int64_t(mask.size()), call.in(inside), call.in(outside), call.out(out));
  return out;
}

static nb::tuple texture(In<float, 3> image, int threads, const Target& target) {
  Out<float> noise = make_like<float>(image), contrast = make_like<float>(image);
  {
    Call call(target, threads);
    call->texture(call.image(image), call.out(noise), call.out(contrast));
  }
  return nb::make_tuple(noise, contrast);
}

static Out<float> add_affine(In<float, 4> u, Numbers linear, Numbers map, int threads, const Target& target) {
  const Extent n = extent(u, 1);
  require(u.shape(0) == 3, "displacement must have shape (3, D, H, W)");
  require(linear.shape(0) == 3 && linear.shape(1) == 3, "linear must have shape (3, 3)");
  require(map.shape(0) == 3 && map.shape(1) == 4, "map must have shape (3, 4)");
  Out<float> out = make<float>({3, n.d, n.h, n.w});
  Call call(target, threads);
  call->add_affine(call.in(u), n, linear.data(), map.data(), call.out(out));
  return out;
}

static Out<float> lengths(In<float, 4> u, int threads, const Target& target) {
  const Extent n = extent(u, 1);
  require(u.shape(0) == 3, "displacement must have shape (3, D, H, W)");
  Out<float> out = make<float>({n.d, n.h, n.w});
  Call call(target, threads);
  call->lengths(call.in(u), n, call.out(out));
  return out;
}

void bind_facts(nb::module_& m) {
  m.def("remove_folds", &remove_folds, "displacement"_a.noconvert(), "floor"_a, "rounds"_a, "threads"_a = 0,
        "target"_a = "", "Return a copy without folds and the number of folds that remain.");
  m.def("count_folds", &count_folds, "displacement"_a.noconvert(), "floor"_a, "threads"_a = 0, "target"_a = "",
        "Return the number of voxels that remove_folds would smooth first.");
  m.def("fill", &fill, "value"_a, "shape"_a, "threads"_a = 0, "target"_a = "");
  m.def("detail", &detail, "image"_a.noconvert(), "background"_a, "low"_a, "high"_a, "threads"_a = 0, "target"_a = "");
  m.def("active_rows", &active_rows, "fixed"_a.noconvert(), "fixed_background"_a, "moving"_a.noconvert(),
        "moving_background"_a, "margin"_a, "threads"_a = 0, "target"_a = "");
  m.def("threshold", &threshold, "values"_a.noconvert(), "mask"_a.none(), "threshold"_a, "threads"_a = 0,
        "target"_a = "");
  m.def("axpby", &axpby, "a"_a, "x"_a.noconvert(), "b"_a, "y"_a.noconvert(), "threads"_a = 0, "target"_a = "");
  m.def("multiply", &weighted<&Operations::multiply>, "field"_a.noconvert(), "weight"_a.noconvert(), "threads"_a = 0,
        "target"_a = "");
  m.def("divide", &weighted<&Operations::divide>, "field"_a.noconvert(), "weight"_a.noconvert(), "threads"_a = 0,
        "target"_a = "");
  m.def("where", &where, "mask"_a.noconvert(), "inside"_a.noconvert(), "outside"_a.noconvert(), "threads"_a = 0,
        "target"_a = "");
  m.def("texture", &texture, "image"_a.noconvert(), "threads"_a = 0, "target"_a = "",
        "Return noise and contrast around each voxel, (D, H, W) each.");
  m.def("add_affine", &add_affine, "displacement"_a.noconvert(), "linear"_a.noconvert(), "map"_a.noconvert(),
        "threads"_a = 0, "target"_a = "");
  m.def("lengths", &lengths, "displacement"_a.noconvert(), "threads"_a = 0, "target"_a = "");
}

}  // namespace mmreg::bind
