#include "bind/filters.h"

namespace mmreg::bind {

static Out<float> gaussian(In<float, 4> image, Sigma sigma_vox, const Into<float>& into, int threads,
                           const Target& target) {
  for (float s : sigma_vox) require(s >= 0 && s <= 32, "sigma_vox must be between 0 and 32 voxels");
  Out<float> out = make_like(image, into);
  Call call(target, threads);
  call->gaussian(call.image(image), sigma_vox.data(), call.out(out));
  return out;
}

static Out<float> box(In<float, 4> image, Triple radius, const Into<float>& into, int threads, const Target& target) {
  for (int r : radius) require(r >= 0 && r <= 128, "radius must be between 0 and 128 voxels");
  Out<float> out = make_like(image, into);
  Call call(target, threads);
  call->box(call.image(image), radius.data(), call.out(out));
  return out;
}

static Out<float> pool(In<float, 4> image, Triple factor, const Into<float>& into, int threads, const Target& target) {
  for (int f : factor) require(f >= 1, "factor must be at least 1");
  const Extent m = pooled(extent(image, 1), factor);
  Out<float> out = make<float>({std::int64_t(image.shape(0)), m.d, m.h, m.w}, into);
  Call call(target, threads);
  call->pool(call.image(image), factor.data(), call.out(out));
  return out;
}

static Out<float> mind(In<float, 3> image, int radius, int dilation, const Into<float>& into, int threads,
                       const Target& target) {
  require(radius >= 0 && radius <= 8 && dilation >= 1 && dilation <= 8, "radius must be 0 to 8, dilation 1 to 8");
  const Extent n = extent(image, 0);
  Out<float> out = make<float>({12, n.d, n.h, n.w}, into);
  Call call(target, threads);
  call->mind(call.image(image), radius, dilation, call.out(out));
  return out;
}

static Out<std::uint16_t> mind_half(In<float, 3> image, int radius, int dilation, const Into<std::uint16_t>& into,
                                    int threads, const Target& target) {
  require(radius >= 0 && radius <= 8 && dilation >= 1 && dilation <= 8, "radius must be 0 to 8, dilation 1 to 8");
  const Extent n = extent(image, 0);
  Out<std::uint16_t> out = make<std::uint16_t>({n.d, n.h, n.w, 16}, into);
  Call call(target, threads);
  call->mind_half(call.image(image), radius, dilation, half(call.out(out)));
  return out;
}

static Out<std::uint16_t> pool_features(In<std::uint16_t, 4> features, Triple factor, const Into<std::uint16_t>& into,
                                        int threads, const Target& target) {
  for (int f : factor) require(f >= 1, "factor must be at least 1");
  const int channels = int(features.shape(3));
  require(channels % 16 == 0, "features must have shape (D, H, W, C), C a multiple of 16");
  const Extent m = pooled(extent(features, 0), factor);
  Out<std::uint16_t> out = make<std::uint16_t>({m.d, m.h, m.w, channels}, into);
  Call call(target, threads);
  call->pool_features(call.features(features), factor.data(), half(call.out(out)));
  return out;
}

Normalisation normalisation_of(const std::string& kind, double low, double high) {
  if (kind == "percentile") {
    require(0 <= low && low < high && high <= 100, "percentiles must be 0 <= low < high <= 100");
    return {Normalisation::percentile, low, high};
  }
  if (kind == "minmax") return {Normalisation::minmax, 0, 0};
  require(kind == "window" && low < high, "kind must be 'percentile', 'window' (low < high) or 'minmax'");
  return {Normalisation::window, low, high};
}

static nb::tuple normalise(In<float, 3> image, const std::string& kind, double low, double high,
                           const Into<float>& into, int threads, const Target& target) {
  const Normalisation normalisation = normalisation_of(kind, low, high);
  Out<float> out = make_like(image, into);
  Extremes all{};
  {
    Call call(target, threads);
    call->normalise(call.in(image), std::int64_t(image.size()), normalisation, call.out(out), call.out(&all, 1));
  }
  return nb::make_tuple(out, nb::make_tuple(all.smallest, all.largest, all.not_finite));
}

void bind_filters(nb::module_& m) {
  const auto def = [&](const char* name, auto f, auto... arguments) {
    m.def(name, f, arguments..., "out"_a.noconvert() = nb::none(), "threads"_a = 0, "target"_a = "");
  };
  def("gaussian", &gaussian, "image"_a.noconvert(), "sigma_vox"_a);
  def("box", &box, "image"_a.noconvert(), "radius"_a);
  def("pool", &pool, "image"_a.noconvert(), "factor"_a);
  def("pool_features", &pool_features, "features"_a.noconvert(), "factor"_a);
  def("normalise", &normalise, "image"_a.noconvert(), "kind"_a, "low"_a, "high"_a);
  def("mind", &mind, "image"_a.noconvert(), "radius"_a, "dilation"_a);
  def("mind_half", &mind_half, "image"_a.noconvert(), "radius"_a, "dilation"_a);
}

}  // namespace mmreg::bind
