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

static Outside outside_of(const std::string& border, float value) {
  return border_of(border) == Border::extend ? Outside(Border::extend) : Outside(value);
}

static void require_indexable(std::size_t size, const char* message) {
  require(size > 0 && size <= std::size_t(INT_MAX), message);
}

// One volume, or a batch of volumes with a leading axis.
template <class T>
using Volumes = nb::ndarray<const T, nb::c_contig>;

struct Layout {  // layout of volumes (channels, d, h, w), or (d, h, w) for labels
  bool batched;
  std::int64_t batch;
  int channels;
  Extent n;

  std::int64_t size() const { return channels * voxels(n); }  // voxels of one volume
  template <class T>
  ImageView<T> at(T* first, std::int64_t b) const {
    return {first + b * size(), n, channels};
  }
  Displacement field(const float* first, std::int64_t b) const { return {first + b * size(), n}; }
  Dimensions grid() const { return batched ? Dimensions{batch, n.d, n.h, n.w} : Dimensions{n.d, n.h, n.w}; }
  Dimensions with(int planes) const {
    return batched ? Dimensions{batch, planes, n.d, n.h, n.w} : Dimensions{planes, n.d, n.h, n.w};
  }
};

// `rank` excludes the batch axis: 4, or 3 for labels.
template <class Array>
static Layout layout_of(const Array& a, const std::string& name, std::size_t rank = 4) {
  const bool batched = a.ndim() == rank + 1;
  const std::string axes = rank == 4 ? "C, D, H, W)" : "D, H, W)";
  require(batched || a.ndim() == rank, (name + " must have shape ([B,] " + axes).c_str());
  const std::size_t first = a.ndim() - 3;  // first spatial axis
  require_indexable(a.shape(first) * a.shape(first + 1) * a.shape(first + 2),
                    (name + " must have 1 to 2**31 - 1 voxels").c_str());
  return {batched, batched ? std::int64_t(a.shape(0)) : 1, rank == 4 ? int(a.shape(first - 1)) : 1,
          extent(a, int(first))};
}

static Layout displacement_of(const Volumes<float>& u) {
  const Layout layout = layout_of(u, "displacement");
  require(layout.channels == 3, "displacement must have shape ([B,] 3, D, H, W), in voxels of its grid");
  return layout;
}

static void require_same_batch(const Layout& a, const Layout& b) {
  require(a.batched == b.batched && a.batch == b.batch, "all arrays must have the same batch axis, or none");
}

static void require_grid(const Layout& upstream, const Layout& u) {
  require(upstream.n.d == u.n.d && upstream.n.h == u.n.h && upstream.n.w == u.n.w,
          "upstream must be on the displacement's grid");
  require_same_batch(upstream, u);
}

static void require_mask(const Into<std::uint8_t>& valid, const Dimensions& grid) {
  require(!valid || has_shape(*valid, grid), "valid must have the shape of the output grid");
}

static auto warp_of(const Operations& operations, const float*) { return operations.warp; }
static auto warp_of(const Operations& operations, const Half*) { return operations.warp_half; }

template <class T>
static Out<T> warp(const Volumes<T>& moving, const Volumes<float>& u, const std::string& interpolation,
                   const std::string& border, const Into<std::uint8_t>& valid, const Into<T>& into, int threads,
                   const Target& target, float outside) {
  const Layout to = displacement_of(u), from = layout_of(moving, "moving");
  require_same_batch(from, to);
  require_mask(valid, to.grid());
  const Interpolation kind = interpolation_of(interpolation);
  const Outside edge = outside_of(border, outside);
  Out<T> out = make<T>(to.with(from.channels), into);
  Call call(target, threads);
  const T* const image = call.in(moving);
  const float* const field = call.in(u);
  T* const warped = call.out(out);
  std::uint8_t* const flags = call.out(valid);
  const std::int64_t size = voxels(to.n);
  for (std::int64_t b = 0; b < to.batch; ++b)
    warp_of(call->operations(), image)(call->queue(), from.at(image, b), to.field(field, b), kind, edge,
                                       warped + b * from.channels * size, flags ? flags + b * size : nullptr);
  return out;
}

static Out<std::int32_t> warp_labels(const Volumes<std::int32_t>& moving, const Volumes<float>& u, int threads,
                                     const Target& target) {
  const Layout to = displacement_of(u), from = layout_of(moving, "moving", 3);
  require_same_batch(from, to);
  Out<std::int32_t> out = make<std::int32_t>(to.grid());
  Call call(target, threads);
  const std::int32_t* const labels = call.in(moving);
  const float* const field = call.in(u);
  std::int32_t* const warped = call.out(out);
  for (std::int64_t b = 0; b < to.batch; ++b)
    call->warp_labels(from.at(labels, b), to.field(field, b), warped + b * voxels(to.n));
  return out;
}

static Out<float> warp_grad_displacement(const Volumes<float>& moving, const Volumes<float>& u,
                                         const Volumes<float>& upstream, const std::string& border,
                                         const Into<float>& into, int threads, const Target& target) {
  const Layout to = displacement_of(u), from = layout_of(moving, "moving"), grad = layout_of(upstream, "upstream");
  require(grad.channels == from.channels, "upstream must have the channels of moving");
  require_same_batch(from, to);
  require_grid(grad, to);
  const Border edge = border_of(border);
  Out<float> out = make<float>(to.with(3), into);
  Call call(target, threads);
  const float *const image = call.in(moving), *const field = call.in(u), *const weight = call.in(upstream);
  float* const gradient = call.out(out);
  for (std::int64_t b = 0; b < to.batch; ++b)
    call->warp_grad_displacement(from.at(image, b), to.field(field, b), edge, weight + b * grad.size(),
                                 gradient + b * to.size());
  return out;
}

static Out<float> warp_grad_image(const Volumes<float>& upstream, const Volumes<float>& u,
                                  std::tuple<int, int, int> shape, const std::string& border, const Into<float>& into,
                                  int threads, const Target& target) {
  const Layout to = displacement_of(u), grad = layout_of(upstream, "upstream");
  require_grid(grad, to);
  const Extent m = {std::get<0>(shape), std::get<1>(shape), std::get<2>(shape)};
  require(m.d > 0 && m.h > 0 && m.w > 0, "shape must be three positive numbers");
  require_indexable(std::size_t(voxels(m)), "shape must have 1 to 2**31 - 1 voxels");
  const Layout back = {to.batched, to.batch, grad.channels, m};
  const Border edge = border_of(border);
  Out<float> out = make<float>(back.with(back.channels), into);
  Call call(target, threads);
  const float *const weight = call.in(upstream), *const field = call.in(u);
  float* const gradient = call.out(out);
  for (std::int64_t b = 0; b < to.batch; ++b)
    call->warp_grad_image(weight + b * grad.size(), to.field(field, b), edge, back.at(gradient, b));
  return out;
}

static Out<float> resample_affine(In<float, 4> moving, HostIn<double, 2> map, std::tuple<int, int, int> shape,
                                  const std::string& interpolation, const std::string& border,
                                  const Into<std::uint8_t>& valid, const Into<float>& into, int threads,
                                  const Target& target, float outside) {
  require(map.shape(0) == 3 && map.shape(1) == 4, "index_map must have shape (3, 4): output index to moving index");
  for (int i = 0; i < 12; ++i) require(std::isfinite(map.data()[i]), "index_map must be finite");
  require_indexable(moving.shape(1) * moving.shape(2) * moving.shape(3), "moving must have 1 to 2**31 - 1 voxels");
  const Extent n = {std::get<0>(shape), std::get<1>(shape), std::get<2>(shape)};
  require(n.d > 0 && n.h > 0 && n.w > 0, "shape must be three positive numbers");
  const Interpolation kind = interpolation_of(interpolation);
  const Outside edge = outside_of(border, outside);
  require_mask(valid, {n.d, n.h, n.w});
  Out<float> out = make<float>({std::int64_t(moving.shape(0)), n.d, n.h, n.w}, into);
  Call call(target, threads);
  call->resample_affine(call.image(moving), map.data(), n, kind, edge, call.out(out), call.out(valid));
  return out;
}

static Out<float> prefilter(In<float, 4> image, int threads, const Target& target) {
  Out<float> out = make_like<float>(image);
  Call call(target, threads);
  call->prefilter(call.image(image), call.out(out));
  return out;
}

void bind_sampling(nb::module_& m) {
  const auto def_warp = [&](auto f, const char* about) {
    m.def("warp", f, "moving"_a.noconvert(), "displacement"_a.noconvert(), "interpolation"_a = "linear",
          "border"_a = "zero", "valid"_a.noconvert() = nb::none(), "out"_a.noconvert() = nb::none(), "threads"_a = 0,
          "target"_a = "", "outside"_a = 0.0f, about);
  };
  def_warp(&warp<float>,
           "Return moving(p + u(p)). All arrays have a leading batch axis, or none. outside: value outside for border "
           "'zero'.");
  def_warp(&warp<Half>, "Warp float16 images, computed in float32.");
  m.def("warp_grad_displacement", &warp_grad_displacement, "moving"_a.noconvert(), "displacement"_a.noconvert(),
        "upstream"_a.noconvert(), "border"_a = "zero", "out"_a.noconvert() = nb::none(), "threads"_a = 0,
        "target"_a = "",
        "Return the derivative of the sum of upstream times the linear warp with respect to the displacement.");
  m.def("warp_grad_image", &warp_grad_image, "upstream"_a.noconvert(), "displacement"_a.noconvert(), "shape"_a,
        "border"_a = "zero", "out"_a.noconvert() = nb::none(), "threads"_a = 0, "target"_a = "",
        "Return the same derivative with respect to the moving image, which has the given shape.");
  m.def("warp_labels", &warp_labels, "moving"_a.noconvert(), "displacement"_a.noconvert(), "threads"_a = 0,
        "target"_a = "");
  m.def("resample_affine", &resample_affine, "moving"_a.noconvert(), "index_map"_a.noconvert(), "shape"_a,
        "interpolation"_a = "linear", "border"_a = "zero", "valid"_a.noconvert() = nb::none(),
        "out"_a.noconvert() = nb::none(), "threads"_a = 0, "target"_a = "", "outside"_a = 0.0f);
  m.def("prefilter", &prefilter, "image"_a.noconvert(), "threads"_a = 0, "target"_a = "");
}

}  // namespace mmreg::bind
