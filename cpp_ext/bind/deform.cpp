// The deformable solver alone, for tests and research. Settings can be overridden by name.
#include "solver/deform/deform.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/tuple.h>

#include "bind/engine.h"
#include "bind/scans.h"
#include "pipeline/network.h"
#include "solver/deform/extrapolate.h"

namespace mmreg::bind {
namespace {

class Override {
 public:
  explicit Override(nb::dict values) : values_(values) {}

  template <class T>
  const Override& operator()(const char* name, T& value) const {
    if (values_.contains(name)) value = nb::cast<T>(values_[name]);
    return *this;
  }

 private:
  nb::dict values_;
};

void set_search(SearchSettings& s, const Override& set) {
  set("wanted", s.wanted)("patch_radius", s.patch_radius)("dilation", s.dilation);
  set("factor", s.factor)("radius", s.radius)("smoothing", s.smoothing)("passes", s.passes);
}

void set_level(LevelSettings& s, const Override& set) {
  set("factor", s.factor)("iterations", s.iterations)("rate_vox", s.rate_vox)("last_rate", s.last_rate);
  set("fluid_vox", s.fluid_vox)("elastic_vox", s.elastic_vox)("floor", s.floor)("dilation", s.dilation);
  set("feature_weight", s.feature_weight)("intensity_weight", s.intensity_weight);
}

nb::tuple deform_images(HostIn<float, 3> fixed, HostIn<float, 3> moving, std::tuple<double, double, double> spacing_mm,
                        HostMask fixed_valid, HostMask moving_valid, nb::dict overrides, nb::object describe,
                        int planes, int threads, const std::string& target) {
  require(fixed.size() == moving.size(), "fixed and moving must have the same shape");
  const Place place = open_place(target, threads);
  const Context context = place.context();
  const auto scan_of = [](const HostIn<float, 3>& image, const HostMask& mask) {
    return Scan{image.data(), extent(image, 0), AffineMap(), mask ? mask->data() : nullptr};
  };
  const DeviceScan f(context, scan_of(fixed, fixed_valid)), m(context, scan_of(moving, moving_valid));
  const DeformInput pair{
      (*f).data, (*m).data,        (*f).mask,
      (*m).mask, extent(fixed, 0), {std::get<0>(spacing_mm), std::get<1>(spacing_mm), std::get<2>(spacing_mm)},
      nullptr,   nullptr,          0};
  Out<float> u = make<float>({3, pair.n.d, pair.n.h, pair.n.w});
  const ExtrapolatedPair extrapolated = extrapolate(context, pair);
  const DeformInput& input = extrapolated.input;
  const PairStatistics statistics = measure_image_statistics(context, input);
  DeformSettings s = select_settings(statistics, input);
  if (overrides.contains("search")) set_search(s.search, Override(nb::cast<nb::dict>(overrides["search"])));
  if (overrides.contains("levels")) {
    nb::list levels = nb::cast<nb::list>(overrides["levels"]);
    s.levels = int(nb::len(levels));
    for (int l = 0; l < s.levels; ++l) set_level(s.level[l], Override(nb::cast<nb::dict>(levels[l])));
  }
  const Scan scan{nullptr, pair.n, AffineMap(), nullptr};
  Engine engine;  // on the grid of the images
  engine.extent = pair.n;
  engine.planes = planes;
  if (planes > 0) engine.describe = describer(describe, pair.n, planes, false);
  if (context.on_device()) engine = on_device(context, engine);
  nb::dict report;
  report["detail_fixed_vox"] = statistics.fixed.detail_vox;
  report["detail_moving_vox"] = statistics.moving.detail_vox;
  report["contrast_to_noise_fixed"] = statistics.fixed.contrast_to_noise;
  report["contrast_to_noise_moving"] = statistics.moving.contrast_to_noise;
  report["correlation"] = statistics.correlation;
  {
    Unlocked unlocked;
    double seconds = 0;
    const Prior prior = planes > 0 ? describing(context, engine, scan, {}, seconds) : Prior{};
    const Deformation d = deform(context, input, statistics, s, [](double) { return false; }, prior);
    d.u.download(u.data());
    Locked locked;
    report["search_inconsistency_vox"] = d.search_inconsistency_vox;
    report["affine"] = matrix(d.affine);
  }
  return nb::make_tuple(u, report);
}

}  // namespace

void bind_deform(nb::module_& m) {
  m.def("deform", &deform_images, "fixed"_a.noconvert(), "moving"_a.noconvert(), "spacing_mm"_a,
        "fixed_valid"_a = nb::none(), "moving_valid"_a = nb::none(), "overrides"_a = nb::dict(),
        "describe"_a = nb::none(), "planes"_a = 0, "threads"_a = 0, "target"_a = "",
        "Return the displacement (3, D, H, W), in voxels, and a dict of image statistics. `overrides` replaces "
        "selected settings, describe(side, image, planes) the features.");
}

}  // namespace mmreg::bind
