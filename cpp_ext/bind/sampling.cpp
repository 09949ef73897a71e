#include <nanobind/stl/optional.h>
#include <nanobind/stl/tuple.h>

#include <climits>
#include <cmath>
#include <optional>

#include "bind/arrays.h"

namespace mmreg::bind {

static Interpolation interpolation_of(const std::string& name) {
  if (name == "nearest") return Interpolation::nearest;
  if (name == "linear") return Interpolation::linear;
  require(name == "cubic", "interpolation must be 'nearest', 'linear' or 'cubic'");
  return Interpolation::cubic;
}

Border border_of(const std::string& name) {
  if (name == "zero") return Border::zero;
  require(name == "extend", "border must be 'zero' or 'extend'");
  return Border::extend;
}

static void require_indexable(std::size_t size, const char* message) {
  require(size > 0 && size <= std::size_t(INT_MAX), message);
}

static void require_displacement(const In<float, 4>& u) {
  require(u.shape(0) == 3, "displacement must have shape (3, D, H, W), in voxels of its grid");
}

using Validity = std::optional<nb::ndarray<std::uint8_t, nb::ndim<3>, nb::c_contig>>;

static std::uint8_t* mask_of(Validity& mask, Extent n) {
  if (!mask) return nullptr;
  require(int(mask->shape(0)) == n.d && int(mask->shape(1)) == n.h && int(mask->shape(2)) == n.w,
          "valid must have the shape of the output grid");
  return mask->data();
}

static Out<float> warp(In<float, 4> moving, In<float, 4> u, const std::string& interpolation, const std::string& border,
                       Validity valid, Into<float> into, int threads, const Target& target) {
  require_displacement(u);
  require_indexable(moving.shape(1) * moving.shape(2) * moving.shape(3), "moving must have 1 to 2**31 - 1 voxels");
  const Extent m = extent(moving, 1), n = extent(u, 1);
  const int channels = int(moving.shape(0));
  const Interpolation kind = interpolation_of(interpolation);
  const Border edge = border_of(border);
  std::uint8_t* const flags = mask_of(valid, n);
  Out<float> out = make<float>({channels, n.d, n.h, n.w}, into);
  Call call(target, threads);
  call->warp(call.queue(), call.in(moving), channels, m, call.in(u), n, kind, edge, call.out(out),
             call.out(flags, std::size_t(voxels(n))));
  return out;
}

static Out<std::int32_t> warp_labels(In<std::int32_t, 3> moving, In<float, 4> u, int threads, const Target& target) {
  require_displacement(u);
  require_indexable(moving.size(), "moving must have 1 to 2**31 - 1 voxels");
  const Extent n = extent(u, 1);
  Out<std::int32_t> out = make<std::int32_t>({n.d, n.h, n.w});
  Call call(target, threads);
  call->warp_labels(call.queue(), call.in(moving), extent(moving, 0), call.in(u), n, call.out(out));
  return out;
}

static Out<float> warp_slope(In<float, 4> moving, In<float, 4> u, In<float, 4> upstream, const std::string& border,
                             Into<float> into, int threads, const Target& target) {
  require_displacement(u);
  require_indexable(moving.shape(1) * moving.shape(2) * moving.shape(3), "moving must have 1 to 2**31 - 1 voxels");
  require(upstream.shape(0) == moving.shape(0), "upstream must have the channels of moving");
  for (int a = 1; a < 4; ++a) require(upstream.shape(a) == u.shape(a), "upstream must be on the displacement's grid");
  const Extent n = extent(u, 1);
  const Border edge = border_of(border);
  Out<float> out = make<float>({3, n.d, n.h, n.w}, into);
  Call call(target, threads);
  call->warp_slope(call.queue(), call.in(moving), int(moving.shape(0)), extent(moving, 1), call.in(u), n, edge,
                   call.in(upstream), call.out(out));
  return out;
}

static Out<float> warp_adjoint(In<float, 4> upstream, In<float, 4> u, std::tuple<int, int, int> shape,
                               const std::string& border, Into<float> into, int threads, const Target& target) {
  require_displacement(u);
  for (int a = 1; a < 4; ++a) require(upstream.shape(a) == u.shape(a), "upstream must be on the displacement's grid");
  const Extent n = extent(u, 1), m = {std::get<0>(shape), std::get<1>(shape), std::get<2>(shape)};
  require(m.d > 0 && m.h > 0 && m.w > 0, "shape must be three positive numbers");
  require_indexable(std::size_t(voxels(m)), "shape must have 1 to 2**31 - 1 voxels");
  const Border edge = border_of(border);
  Out<float> out = make<float>({std::int64_t(upstream.shape(0)), m.d, m.h, m.w}, into);
  Call call(target, threads);
  call->warp_adjoint(call.queue(), call.in(upstream), int(upstream.shape(0)), call.in(u), n, edge, m, call.out(out));
  return out;
}

static Out<float> resample_affine(In<float, 4> moving, HostIn<double, 2> map, std::tuple<int, int, int> shape,
                                  const std::string& interpolation, const std::string& border, Validity valid,
                                  Into<float> into, int threads, const Target& target) {
  require(map.shape(0) == 3 && map.shape(1) == 4, "index_map must have shape (3, 4): output index to moving index");
  for (int i = 0; i < 12; ++i) require(std::isfinite(map.data()[i]), "index_map must be finite");
  require_indexable(moving.shape(1) * moving.shape(2) * moving.shape(3), "moving must have 1 to 2**31 - 1 voxels");
  const Extent n = {std::get<0>(shape), std::get<1>(shape), std::get<2>(shape)};
  require(n.d > 0 && n.h > 0 && n.w > 0, "shape must be three positive numbers");
  const int channels = int(moving.shape(0));
  const Interpolation kind = interpolation_of(interpolation);
  const Border edge = border_of(border);
  std::uint8_t* const flags = mask_of(valid, n);
  Out<float> out = make<float>({channels, n.d, n.h, n.w}, into);
  Call call(target, threads);
  call->resample_affine(call.queue(), call.in(moving), channels, extent(moving, 1), map.data(), n, kind, edge,
                        call.out(out), call.out(flags, std::size_t(voxels(n))));
  return out;
}

static Out<float> prefilter(In<float, 4> image, int threads, const Target& target) {
  const Extent n = extent(image, 1);
  Out<float> out = make<float>({std::int64_t(image.shape(0)), n.d, n.h, n.w});
  Call call(target, threads);
  call->prefilter(call.queue(), call.in(image), int(image.shape(0)), n, call.out(out));
  return out;
}

void bind_sampling(nb::module_& m) {
  m.def("warp", &warp, "moving"_a.noconvert(), "displacement"_a.noconvert(), "interpolation"_a = "linear",
        "border"_a = "zero", "valid"_a.noconvert() = nb::none(), "out"_a.noconvert() = nb::none(), "threads"_a = 0,
        "target"_a = "");
  m.def("warp_slope", &warp_slope, "moving"_a.noconvert(), "displacement"_a.noconvert(), "upstream"_a.noconvert(),
        "border"_a = "zero", "out"_a.noconvert() = nb::none(), "threads"_a = 0, "target"_a = "",
        "Derivative of the sum of upstream times the linear warp by the displacement.");
  m.def("warp_adjoint", &warp_adjoint, "upstream"_a.noconvert(), "displacement"_a.noconvert(), "shape"_a,
        "border"_a = "zero", "out"_a.noconvert() = nb::none(), "threads"_a = 0, "target"_a = "",
        "The same derivative by the moving image, whose shape is given.");
  m.def("warp_labels", &warp_labels, "moving"_a.noconvert(), "displacement"_a.noconvert(), "threads"_a = 0,
        "target"_a = "");
  m.def("resample_affine", &resample_affine, "moving"_a.noconvert(), "index_map"_a.noconvert(), "shape"_a,
        "interpolation"_a = "linear", "border"_a = "zero", "valid"_a.noconvert() = nb::none(),
        "out"_a.noconvert() = nb::none(), "threads"_a = 0, "target"_a = "");
  m.def("prefilter", &prefilter, "image"_a.noconvert(), "threads"_a = 0, "target"_a = "");
}

}  // namespace mmreg::bind
