// The pipeline: two scans in, everything out. The caller's flag and Ctrl-C are looked at between steps.
#include <nanobind/stl/optional.h>

#include <algorithm>
#include <cmath>

#include "bind/arrays.h"
#include "bind/engine.h"
#include "bind/scans.h"
#include "cpu/queue.h"
#include "pipeline/pipeline.h"

namespace mmreg::bind {
namespace {

// Gives results to Python: copies on the host, or memory of the device that lives as long as what Python gets, and
// belongs to a queue that nobody else uses.
class Results {
 public:
  explicit Results(DeviceQueue* device) : device_(device) {}

  template <class T>
  nb::object operator()(const Buffer<T>& memory, std::initializer_list<std::int64_t> shape) const {
    if (!memory.data()) return nb::none();
    if (device_) return there(memory.data(), sizeof(T) * memory.size(), shape);
    Out<T> out = make<T>(shape);
    memory.download(out.data());
    return nb::cast(out);
  }

 private:
  struct Kept {
    nb::object device;  // whose stream this is
    Place place;
    void* memory;
    ~Kept() {
      Unlocked unlocked;  // it waits
      place.context().release(memory);
      place.queue.reset();
    }
  };

  nb::object there(const void* from, std::size_t bytes, std::initializer_list<std::int64_t> shape) const {
    std::unique_ptr<Kept> kept(new Kept{nb::find(device_), device_->beside(), nullptr});
    kept->memory = kept->place.context().allocate(bytes);
    device_->copy(reinterpret_cast<std::uintptr_t>(kept->memory), reinterpret_cast<std::uintptr_t>(from), bytes);
    const auto address = reinterpret_cast<std::uintptr_t>(kept->memory);
    nb::capsule owner(kept.release(), [](void* p) noexcept { delete static_cast<Kept*>(p); });
    return nb::make_tuple(address, nb::tuple(nb::cast(std::vector<std::int64_t>(shape))), owner);
  }

  DeviceQueue* device_;
};

nb::object measured(double figure) { return std::isnan(figure) ? nb::none() : nb::cast(figure); }

// The most voxels that fold by any way of taking differences, and the least determinant.
std::pair<nb::object, nb::object> described(const std::optional<Folding>& f) {
  if (!f) return {nb::none(), nb::none()};
  return {nb::cast(*std::max_element(f->count, f->count + 9)),
          nb::cast(*std::min_element(f->smallest, f->smallest + 9))};
}

nb::dict described(const Quality& q) {
  nb::dict out;
  out["similarity_before"] = measured(q.similarity_before), out["similarity_after"] = measured(q.similarity_after);
  out["mind_before"] = measured(q.mind_before), out["mind_after"] = measured(q.mind_after);
  const auto [folded, least] = described(q.folding);
  out["folded_voxels"] = folded, out["min_jacobian"] = least;
  out["inverse_folded_voxels"] = described(q.inverse_folding).first;
  out["inverse_consistency_mean_mm"] = measured(q.inverse_consistency_mean_mm);
  out["inverse_consistency_p95_mm"] = measured(q.inverse_consistency_p95_mm);
  out["inverse_consistency_max_mm"] = measured(q.inverse_consistency_max_mm);
  out["displacement_p50_mm"] = measured(q.displacement_p50_mm);
  out["displacement_p95_mm"] = measured(q.displacement_p95_mm);
  out["displacement_max_mm"] = measured(q.displacement_max_mm), out["overlap_fraction"] = measured(q.overlap);
  return out;
}

nb::dict described(const PoseEvidence& e) {
  nb::dict out;
  out["known"] = e.known, out["information"] = e.information, out["drift_mm"] = e.drift_mm, out["body_mm"] = e.body_mm;
  out["turned"] = e.turned, out["turned_information"] = e.turned_information;
  out["mirrored"] = e.mirrored, out["mirrored_information"] = e.mirrored_information;
  out["agreement"] = e.agreement, out["agreement_elsewhere"] = e.agreement_elsewhere;
  out["agreement_moved"] = e.agreement_moved, out["agreement_moved_most"] = e.agreement_moved_most;
  return out;
}

nb::dict described(const ResidualEvidence& e) {
  nb::dict out;
  out["known"] = e.known, out["affine_mm"] = e.affine_mm, out["median_mm"] = e.median_mm;
  out["spread_mm"] = e.spread_mm, out["far"] = e.far;
  return out;
}

nb::dict described(const DeformationEvidence& e) {
  nb::dict out;
  out["kept"] = e.kept, out["patterns"] = e.patterns, out["information"] = e.information;
  out["own_patterns"] = e.own_patterns, out["own_information"] = e.own_information;
  return out;
}

nb::dict described(const LevelSettings& s) {
  nb::dict out;
  out["factor"] = s.factor, out["iterations"] = s.iterations, out["rate_vox"] = s.rate_vox;
  out["fluid_vox"] = s.fluid_vox, out["elastic_vox"] = s.elastic_vox;
  out["floor"] = s.floor, out["dilation"] = s.dilation;
  out["feature_weight"] = s.feature_weight, out["intensity_weight"] = s.intensity_weight;
  return out;
}

nb::dict described(const Costs& c) {
  nb::dict out;
  out["render"] = c.render, out["inverse"] = c.inverse, out["figures"] = c.figures;
  out["handing out"] = c.handing_out;
  return out;
}

nb::dict described(const NetworkRun& n) {
  static const char* const ends[] = {"none", "complete", "stopped", "not begun"};
  nb::dict out;
  out["end"] = ends[int(n.end)], out["expected_s"] = n.expected_s, out["left_s"] = n.left_s;
  return out;
}

nb::dict settings(const PipelineResult& r) {
  nb::dict out, align;
  align["levels"] = r.alignment.levels, align["finest_mm"] = r.alignment.finest_mm;
  align["informative"] = r.alignment.informative, align["affine_accepted"] = r.alignment.affine_accepted;
  align["agreement"] = r.alignment.agreement, align["agreement_elsewhere"] = r.alignment.agreement_elsewhere;
  align["rival"] = r.alignment.rival;
  out["align"] = align;
  nb::dict finish;
  finish["expected_s"] = described(r.expected), finish["taken_s"] = described(r.taken);
  out["finish"] = finish;
  out["detail_vox"] = r.facts.detail_vox, out["contrast_to_noise"] = r.facts.contrast_to_noise;
  out["correlation"] = r.facts.correlation;
  nb::dict search;
  search["wanted"] = r.settings.search.wanted, search["factor"] = r.settings.search.factor;
  search["radius"] = r.settings.search.radius, search["smoothing"] = r.settings.search.smoothing;
  out["search"] = search;
  nb::list levels;
  for (int l = 0; l < r.settings.levels; ++l) levels.append(described(r.settings.level[l]));
  out["levels"] = levels;
  return out;
}

nb::dict described(const PipelineResult& r, Extent n, Extent m, bool with_network, const Results& array) {
  nb::dict out, seconds;
  out["cancelled"] = r.cancelled;
  if (r.cancelled) return out;
  out["rigid"] = matrix(r.rigid), out["affine"] = matrix(r.affine);
  out["displacement_mm"] = array(r.displacement_mm, {3, n.d, n.h, n.w});
  out["deformation_mm"] = array(r.deformation_mm, {3, n.d, n.h, n.w});
  out["inverse_mm"] = array(r.inverse_mm, {3, m.d, m.h, m.w});
  out["warped"] = array(r.warped, {n.d, n.h, n.w}), out["valid"] = array(r.valid, {n.d, n.h, n.w});
  for (int s = 0; s < int(Stage::count); ++s)
    if (Stage(s) != Stage::network || with_network) seconds[stage_name(Stage(s))] = r.seconds[s];
  out["seconds"] = seconds, out["quality"] = described(r.quality), out["settings"] = settings(r);
  nb::dict evidence;
  evidence["pose"] = described(r.quality.pose), evidence["residual"] = described(r.quality.residual);
  evidence["start_kept"] = r.start_kept, evidence["deformation"] = described(r.deformation);
  out["evidence"] = evidence;
  out["network"] = described(r.network);
  out["degraded"] = r.degraded, out["finished"] = r.finished;
  return out;
}

bool on_device(const In<float, 3>& image, const DeviceQueue* device) {
  if (image.device_type() == nb::device::cpu::value) return false;
  require(device && image.device_type() == nb::device::cuda::value && image.device_id() == device->number(),
          "a scan on a device needs a queue of that device");
  return true;
}

nb::dict register_scans(In<float, 3> fixed, Matrix fixed_affine, In<float, 3> moving, Matrix moving_affine,
                        HostMask fixed_mask, HostMask moving_mask, const std::string& align, bool deform,
                        double deadline_s, std::optional<nb::callable> cancelled, int threads,
                        const std::string& target, std::optional<nb::dict> network, bool refine, DeviceQueue* device,
                        bool stay, std::optional<Matrix> start, std::optional<float> outside,
                        std::optional<nb::callable> now) {
  const bool fixed_there = on_device(fixed, device), moving_there = on_device(moving, device);
  const Scan f = scan(fixed, fixed_affine, fixed_mask), m = scan(moving, moving_affine, moving_mask);
  std::optional<Engine> given;
  if (network) given = engine(*network);
  const bool there = network && is_there(*network);
  PipelineOptions options;
  options.align = align_kind(align), options.deform = deform, options.deadline_s = deadline_s;
  options.refine = refine, options.outside = outside;
  require(!start || options.align == AlignKind::none, "a start is for align none");
  if (start) options.start = affine_map(*start);
  std::optional<nb::python_error> interrupted;  // kept from Python, which may ask for this while a network runs
  options.cancelled = [&](Stage stage, double share) {
    Locked locked;
    if (!interrupted && PyErr_CheckSignals() != 0) interrupted.emplace();
    return interrupted || (cancelled && nb::cast<bool>(called(*cancelled, stage_name(stage), share)));
  };
  if (now)
    options.now = [&] {
      Locked locked;
      return nb::cast<double>(called(*now));
    };
  Place own;
  if (!device) own = open_place(target, threads);
  const Place& place = device ? device->place() : own;
  const Context context = place.context();
  if (given && context.on_device() && !there) given = placed(context, *given);
  PipelineResult result;
  {
    Unlocked unlocked;
    const Placed placed_fixed(context, f, fixed_there), placed_moving(context, m, moving_there);
    if (given) options.engine = &*given;
    result = run(context, *placed_fixed, *placed_moving, options);
  }
  if (interrupted) throw nb::python_error(*interrupted);
  nb::dict out = described(result, f.extent, m.extent, network.has_value(), Results(stay ? device : nullptr));
  out["threads"] = context.on_device() ? nb::none() : nb::cast(workers(*place.queue));
  if (stay && device) context.trim();  // waits: what stays is complete
  return out;
}

}  // namespace

void bind_register(nb::module_& m) {
  m.def("register", &register_scans, "fixed"_a.noconvert(), "fixed_affine"_a, "moving"_a.noconvert(), "moving_affine"_a,
        "fixed_mask"_a = nb::none(), "moving_mask"_a = nb::none(), "align"_a = "affine", "deform"_a = true,
        "deadline_s"_a = 0.0, "cancelled"_a = nb::none(), "threads"_a = 0, "target"_a = "", "network"_a = nb::none(),
        "refine"_a = true, "device"_a.none() = nb::none(), "stay"_a = false, "start"_a = nb::none(),
        "outside"_a = nb::none(), "now"_a = nb::none(),
        "cancelled(stage, share) -> bool is called between steps; True stops. deadline_s, until it returns, 0: none; "
        "now() "
        "-> float is the clock in place of that of the machine. device: a "
        "DeviceQueue to run on, in place of target; its arrays are taken as they are. stay: results stay there, as "
        "(address, shape, owner). start: where align is none, the transform that stands already, fixed to moving mm; "
        "what the quality calls before is without it. outside: of the warped scan; None: its lowest value.");
}

}  // namespace mmreg::bind
