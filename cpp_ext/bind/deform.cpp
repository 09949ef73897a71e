// The deformable solver on its own, for tests and for research: settings may be overridden by name.
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
  explicit Override(nb::dict given) : given_(given) {}

  template <class T>
  void operator()(const char* name, T& value) const {
    if (given_.contains(name)) value = nb::cast<T>(given_[name]);
  }

 private:
  nb::dict given_;
};

void set_search(SearchSettings& s, const Override& number) {
  number("wanted", s.wanted), number("patch_radius", s.patch_radius), number("dilation", s.dilation);
  number("factor", s.factor), number("radius", s.radius), number("smoothing", s.smoothing), number("passes", s.passes);
}

void set_level(LevelSettings& s, const Override& number) {
  number("factor", s.factor), number("iterations", s.iterations), number("rate_vox", s.rate_vox);
  number("last_rate", s.last_rate), number("fluid_vox", s.fluid_vox), number("elastic_vox", s.elastic_vox);
  number("feature_weight", s.feature_weight), number("intensity_weight", s.intensity_weight), number("floor", s.floor);
  number("dilation", s.dilation);
}

nb::tuple deform_images(HostIn<float, 3> fixed, HostIn<float, 3> moving, std::tuple<double, double, double> spacing_mm,
                        HostMask fixed_valid, HostMask moving_valid, nb::dict overrides, nb::object describe,
                        int planes, int threads, const std::string& target) {
  require(fixed.size() == moving.size(), "fixed and moving must be on one grid");
  const Place place = open_place(target, threads);
  const Context context = place.context();
  const auto scan_of = [](const HostIn<float, 3>& image, const HostMask& mask) {
    return Scan{image.data(), extent(image, 0), AffineMap(), mask ? mask->data() : nullptr};
  };
  const Placed fixed_there(context, scan_of(fixed, fixed_valid)), moving_there(context, scan_of(moving, moving_valid));
  const DeformInput given{(*fixed_there).data,
                          (*moving_there).data,
                          (*fixed_there).mask,
                          (*moving_there).mask,
                          extent(fixed, 0),
                          {std::get<0>(spacing_mm), std::get<1>(spacing_mm), std::get<2>(spacing_mm)},
                          nullptr,
                          nullptr,
                          0};
  Out<float> u = make<float>({3, given.n.d, given.n.h, given.n.w});
  const ExtrapolatedPair filled = extrapolate(context, given);
  const DeformInput& input = filled.input;
  const PairStatistics facts = measure_image_statistics(context, input);
  DeformSettings s = select_settings(facts, input);
  if (overrides.contains("search")) set_search(s.search, Override(nb::cast<nb::dict>(overrides["search"])));
  if (overrides.contains("levels")) {
    nb::list levels = nb::cast<nb::list>(overrides["levels"]);
    s.levels = int(nb::len(levels));
    for (int l = 0; l < s.levels; ++l) set_level(s.level[l], Override(nb::cast<nb::dict>(levels[l])));
  }
  const Scan scan{nullptr, given.n, AffineMap(), nullptr};
  Engine engine;  // on the grid of the images
  engine.extent = given.n;
  engine.planes = planes;
  if (planes > 0) engine.describe = describer(describe, given.n, planes, false);
  if (context.on_device()) engine = on_device(context, engine);
  nb::dict said;
  said["detail_fixed_vox"] = facts.fixed.detail_vox;
  said["detail_moving_vox"] = facts.moving.detail_vox;
  said["contrast_to_noise_fixed"] = facts.fixed.contrast_to_noise;
  said["contrast_to_noise_moving"] = facts.moving.contrast_to_noise;
  said["correlation"] = facts.correlation;
  {
    Unlocked unlocked;
    double seconds = 0;
    const Prior prior = planes > 0 ? describing(context, engine, scan, {}, seconds) : Prior{};
    const Deformation d = deform(context, input, facts, s, [](double) { return false; }, prior);
    d.u.download(u.data());
    Locked locked;
    said["search_inconsistency_vox"] = d.search_inconsistency_vox;
    said["affine"] = matrix(d.affine);
  }
  return nb::make_tuple(u, said);
}

}  // namespace

void bind_deform(nb::module_& m) {
  m.def("deform", &deform_images, "fixed"_a.noconvert(), "moving"_a.noconvert(), "spacing_mm"_a,
        "fixed_valid"_a = nb::none(), "moving_valid"_a = nb::none(), "overrides"_a = nb::dict(),
        "describe"_a = nb::none(), "planes"_a = 0, "threads"_a = 0, "target"_a = "",
        "Displacement (3, D, H, W) in voxels and what the solver saw; `overrides` replaces chosen settings, "
        "describe(side, image, planes) the features.");
}

}  // namespace mmreg::bind
