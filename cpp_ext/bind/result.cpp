#include "bind/result.h"

#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "bind/scans.h"

namespace mmreg::bind {
namespace {

// Converts results to Python: copies on the host, or memory of a separate queue on the device.
class Results {
 public:
  explicit Results(DeviceQueue* device) : device_(device) {}

  template <class T>
  nb::object operator()(const Buffer<T>& memory, std::initializer_list<std::int64_t> shape) const {
    if (!memory.data()) return nb::none();
    if (device_) return kept(memory.data(), sizeof(T) * memory.size(), shape);
    Out<T> out = make<T>(shape);
    memory.download(out.data());
    return nb::cast(out);
  }

 private:
  struct Kept {
    nb::object device;  // owner of the stream
    Place place;
    void* memory;
    ~Kept() {
      Unlocked unlocked;  // the destructor waits for the stream
      place.context().release(memory);
      place.queue.reset();
    }
  };

  nb::object kept(const void* from, std::size_t bytes, std::initializer_list<std::int64_t> shape) const {
    std::unique_ptr<Kept> kept(new Kept{nb::find(device_), device_->beside(), nullptr});
    kept->memory = kept->place.context().allocate(bytes);
    device_->copy(reinterpret_cast<std::uintptr_t>(kept->memory), reinterpret_cast<std::uintptr_t>(from), bytes);
    const auto address = reinterpret_cast<std::uintptr_t>(kept->memory);
    nb::capsule owner(kept.release(), [](void* p) noexcept { delete static_cast<Kept*>(p); });
    return nb::make_tuple(address, nb::tuple(nb::cast(std::vector<std::int64_t>(shape))), owner);
  }

  DeviceQueue* device_;
};

std::optional<double> measured(double figure) {
  if (std::isnan(figure)) return {};
  return figure;
}

// Returns the largest number of folded voxels over the nine determinants.
std::optional<std::int64_t> folded(const std::optional<Folding>& f) {
  if (!f) return {};
  return *std::max_element(f->count, f->count + 9);
}

std::optional<float> least(const std::optional<Folding>& f) {
  if (!f) return {};
  return *std::min_element(f->smallest, f->smallest + 9);
}

nb::dict costs(const Costs& c) {
  nb::dict out;
  out["render"] = c.render;
  out["inverse"] = c.inverse;
  out["figures"] = c.figures;
  out["handing out"] = c.handing_out;
  return out;
}

nb::dict level(const LevelSettings& s) {
  nb::dict out;
  out["factor"] = s.factor;
  out["iterations"] = s.iterations;
  out["rate_vox"] = s.rate_vox;
  out["fluid_vox"] = s.fluid_vox;
  out["elastic_vox"] = s.elastic_vox;
  out["floor"] = s.floor;
  out["dilation"] = s.dilation;
  out["feature_weight"] = s.feature_weight;
  out["intensity_weight"] = s.intensity_weight;
  return out;
}

nb::dict settings(const PipelineResult& r) {
  nb::dict out, align, finish, search;
  align["levels"] = r.alignment.levels;
  align["finest_mm"] = r.alignment.finest_mm;
  align["informative"] = r.alignment.informative;
  align["affine_accepted"] = r.alignment.affine_accepted;
  align["agreement"] = r.alignment.agreement;
  align["agreement_elsewhere"] = r.alignment.agreement_elsewhere;
  align["rival"] = r.alignment.rival;
  out["align"] = align;
  finish["expected_s"] = costs(r.expected);
  finish["taken_s"] = costs(r.taken);
  out["finish"] = finish;
  out["detail_vox"] = r.facts.detail_vox;
  out["contrast_to_noise"] = r.facts.contrast_to_noise;
  out["correlation"] = r.facts.correlation;
  search["wanted"] = r.settings.search.wanted;
  search["factor"] = r.settings.search.factor;
  search["radius"] = r.settings.search.radius;
  search["smoothing"] = r.settings.search.smoothing;
  out["search"] = search;
  nb::list levels;
  for (int l = 0; l < r.settings.levels; ++l) levels.append(level(r.settings.level[l]));
  out["levels"] = levels;
  return out;
}

// Returns the stages of this registration in order.
std::vector<Stage> stages_of(const PipelineResult& r, const Engine* engine) {
  if (!engine) return {Stage::align, Stage::deform, Stage::finish};
  if (engine->output != EngineOutput::rigid) return {Stage::align, Stage::network, Stage::deform, Stage::finish};
  const bool refined = r.cascade.refinement != CascadeRefinement::not_wanted;
  if (refined) return {Stage::network, Stage::align, Stage::finish};
  return {Stage::network, Stage::finish};
}

const char* name_of(NetworkEnd end) {
  static const char* const names[] = {"none", "complete", "stopped", "not begun"};
  return names[int(end)];
}

const char* name_of(CascadeRefinement refinement) {
  static const char* const names[] = {"not wanted", "no time", "rejected", "accepted"};
  return names[int(refinement)];
}

void bind_figures(nb::module_& m) {
  nb::class_<PoseEvidence>(m, "PoseEvidence", "Evidence for the linear part, from neighbouring poses.")
      .def_ro("known", &PoseEvidence::known)
      .def_ro("information", &PoseEvidence::information)
      .def_ro("drift_mm", &PoseEvidence::drift_mm)
      .def_ro("body_mm", &PoseEvidence::body_mm)
      .def_ro("turned", &PoseEvidence::turned)
      .def_ro("turned_information", &PoseEvidence::turned_information)
      .def_ro("mirrored", &PoseEvidence::mirrored)
      .def_ro("mirrored_information", &PoseEvidence::mirrored_information)
      .def_ro("agreement", &PoseEvidence::agreement)
      .def_ro("agreement_elsewhere", &PoseEvidence::agreement_elsewhere)
      .def_ro("agreement_moved", &PoseEvidence::agreement_moved)
      .def_ro("agreement_moved_most", &PoseEvidence::agreement_moved_most);
  nb::class_<ResidualEvidence>(m, "ResidualEvidence", "Residual motion found by a dense search.")
      .def_ro("known", &ResidualEvidence::known)
      .def_ro("affine_mm", &ResidualEvidence::affine_mm)
      .def_ro("median_mm", &ResidualEvidence::median_mm)
      .def_ro("spread_mm", &ResidualEvidence::spread_mm)
      .def_ro("far", &ResidualEvidence::far);
  nb::class_<DeformationEvidence>(m, "DeformationEvidence",
                                  "Evidence that the deformation improves on the linear part.")
      .def_ro("kept", &DeformationEvidence::kept)
      .def_ro("patterns", &DeformationEvidence::patterns)
      .def_ro("information", &DeformationEvidence::information)
      .def_ro("own_patterns", &DeformationEvidence::own_patterns)
      .def_ro("typical_vox", &DeformationEvidence::typical_vox)
      .def_ro("least_gain", &DeformationEvidence::least_gain)
      .def_ro("own_information", &DeformationEvidence::own_information);
  nb::class_<NetworkRun>(m, "NetworkRun", "Outcome of a network run: none, complete, stopped or not begun.")
      .def_prop_ro("end", [](const NetworkRun& n) { return name_of(n.end); })
      .def_ro("expected_s", &NetworkRun::expected_s)
      .def_ro("left_s", &NetworkRun::left_s);
  nb::class_<CascadeRun>(m, "CascadeRun", "Progress of a cascade of rigid networks and its refinement.")
      .def_ro("stages_run", &CascadeRun::stages_run)
      .def_prop_ro("refinement", [](const CascadeRun& c) { return name_of(c.refinement); })
      .def_ro("away_mm", &CascadeRun::away_mm)
      .def_prop_ro("window_centre_mm", [](const CascadeRun& c) {
        return std::array<double, 3>{c.window_centre_mm.x[0], c.window_centre_mm.x[1], c.window_centre_mm.x[2]};
      });
}

void bind_quality(nb::module_& m) {
  nb::class_<Quality> quality(m, "Quality", "Quality figures of a registration; None if not computed in time.");
  const auto figure = [&](const char* name, double Quality::* member) {
    quality.def_prop_ro(name, [member](const Quality& q) { return measured(q.*member); });
  };
  figure("nmi_before", &Quality::nmi_before);
  figure("nmi_after", &Quality::nmi_after);
  figure("mind_before", &Quality::mind_before);
  figure("mind_after", &Quality::mind_after);
  quality.def_prop_ro("folded_voxels", [](const Quality& q) { return folded(q.folding); });
  quality.def_prop_ro("min_jacobian", [](const Quality& q) { return least(q.folding); });
  quality.def_prop_ro("inverse_folded_voxels", [](const Quality& q) { return folded(q.inverse_folding); });
  figure("inverse_consistency_mean_mm", &Quality::inverse_consistency_mean_mm);
  figure("inverse_consistency_p95_mm", &Quality::inverse_consistency_p95_mm);
  figure("inverse_consistency_max_mm", &Quality::inverse_consistency_max_mm);
  figure("displacement_p50_mm", &Quality::displacement_p50_mm);
  figure("displacement_p95_mm", &Quality::displacement_p95_mm);
  figure("displacement_max_mm", &Quality::displacement_max_mm);
  figure("overlap_fraction", &Quality::overlap);
  quality.def_ro("pose", &Quality::pose).def_ro("residual", &Quality::residual);
}

}  // namespace

ResultView view_of(PipelineResult&& result, Extent n, Extent m, const Engine* engine, DeviceQueue* keep_on) {
  ResultView view;
  const Results array(keep_on);
  if (!result.cancelled) {
    view.displacement_mm = array(result.displacement_mm, {3, n.d, n.h, n.w});
    view.deformation_mm = array(result.deformation_mm, {3, n.d, n.h, n.w});
    view.inverse_mm = array(result.inverse_mm, {3, m.d, m.h, m.w});
    view.warped = array(result.warped, {n.d, n.h, n.w});
    view.valid = array(result.valid, {n.d, n.h, n.w});
    for (const Stage stage : stages_of(result, engine)) view.seconds[stage_name(stage)] = result.seconds[int(stage)];
  }
  if (!result.cancelled) view.settings = settings(result);
  result.displacement_mm = {};
  result.deformation_mm = {};
  result.inverse_mm = {};
  result.warped = {};
  result.valid = {};
  view.result = std::move(result);
  return view;
}

void bind_result(nb::module_& m) {
  bind_figures(m);
  bind_quality(m);
  using V = ResultView;
  nb::class_<V>(m, "Result", "Result of the pipeline. Arrays that were not computed are None.")
      .def_prop_ro("cancelled", [](const V& v) { return v.result.cancelled; })
      .def_prop_ro("degraded", [](const V& v) { return v.result.degraded; })
      .def_prop_ro("finished", [](const V& v) { return v.result.finished; })
      .def_prop_ro("tracked", [](const V& v) { return v.result.tracked; })
      .def_prop_ro("start_kept", [](const V& v) { return v.result.start_kept; })
      .def_prop_ro(
          "rigid", [](const V& v) { return matrix(v.result.rigid); }, nb::rv_policy::move)
      .def_prop_ro(
          "affine", [](const V& v) { return matrix(v.result.affine); }, nb::rv_policy::move)
      .def_prop_ro(
          "displacement_mm", [](const V& v) { return v.displacement_mm; },
          nb::sig("def displacement_mm(self, /) -> typing.Any"))
      .def_prop_ro(
          "deformation_mm", [](const V& v) { return v.deformation_mm; },
          nb::sig("def deformation_mm(self, /) -> typing.Any"))
      .def_prop_ro(
          "inverse_mm", [](const V& v) { return v.inverse_mm; }, nb::sig("def inverse_mm(self, /) -> typing.Any"))
      .def_prop_ro(
          "warped", [](const V& v) { return v.warped; }, nb::sig("def warped(self, /) -> typing.Any"))
      .def_prop_ro(
          "valid", [](const V& v) { return v.valid; }, nb::sig("def valid(self, /) -> typing.Any"))
      .def_prop_ro(
          "seconds", [](const V& v) { return v.seconds; }, nb::sig("def seconds(self, /) -> dict[str, float]"))
      .def_prop_ro(
          "settings", [](const V& v) { return v.settings; }, nb::sig("def settings(self, /) -> dict[str, typing.Any]"))
      .def_prop_ro("threads", [](const V& v) { return v.threads; })
      .def_prop_ro("quality", [](const V& v) -> const Quality& { return v.result.quality; })
      .def_prop_ro("deformation", [](const V& v) -> const DeformationEvidence& { return v.result.deformation; })
      .def_prop_ro("network", [](const V& v) -> const NetworkRun& { return v.result.network; })
      .def_prop_ro("cascade", [](const V& v) -> const CascadeRun& { return v.result.cascade; });
}

}  // namespace mmreg::bind
