#include "solver/align/align.h"

#include <nanobind/stl/optional.h>

#include <chrono>
#include <optional>

#include "bind/arrays.h"
#include "bind/scans.h"

namespace mmreg::bind {
namespace {

nb::dict to_dict(const Alignment& a) {
  nb::dict out;
  out["rigid"] = matrix(a.rigid);
  out["affine"] = matrix(a.affine);
  out["nmi_before"] = a.nmi_before;
  out["nmi_after"] = a.nmi_after;
  out["information_rigid"] = a.information_rigid;
  out["information_affine"] = a.information_affine;
  out["overlap"] = a.overlap;
  out["informative"] = a.informative;
  out["complete"] = a.complete;
  out["rigid_complete"] = a.rigid_complete;
  out["rigid_seconds"] = a.rigid_seconds;
  out["affine_seconds"] = a.affine_seconds;
  out["affine_accepted"] = a.affine_accepted;
  out["finest_mm"] = a.finest_mm;
  out["levels"] = a.levels;
  out["agreement"] = a.agreement;
  out["agreement_elsewhere"] = a.agreement_elsewhere;
  out["rival"] = a.rival;
  out["samples"] = a.samples;
  out["evaluations"] = a.evaluations;
  return out;
}

nb::dict align_scans(HostImage fixed, Matrix fixed_affine, HostImage moving, Matrix moving_affine, HostMask fixed_mask,
                     HostMask moving_mask, const std::string& kind_name, double limit_ms, int threads,
                     const Target& target) {
  const Scan f = scan(fixed, fixed_affine, fixed_mask), m = scan(moving, moving_affine, moving_mask);
  AlignOptions options;
  options.kind = align_kind(kind_name);
  Alignment alignment;
  {
    using Clock = std::chrono::steady_clock;
    const Clock::time_point start = Clock::now();
    Call call(target, threads);
    const DeviceScan device_fixed(call.context(), f), device_moving(call.context(), m);
    alignment = align(call.context(), *device_fixed, *device_moving, options, [&] {
      return limit_ms >= 0 && std::chrono::duration<double, std::milli>(Clock::now() - start).count() >= limit_ms;
    });
  }
  return to_dict(alignment);
}

}  // namespace

void bind_align(nb::module_& m) {
  m.def("align", &align_scans, "fixed"_a.noconvert(), "fixed_affine"_a, "moving"_a.noconvert(), "moving_affine"_a,
        "fixed_mask"_a = nb::none(), "moving_mask"_a = nb::none(), "kind"_a = "affine", "limit_ms"_a = -1.0,
        "threads"_a = 0, "target"_a = "",
        "Return the rigid and the affine map from fixed mm to moving mm, and figures. fixed_affine and moving_affine "
        "map array indices to mm. limit_ms < 0: no limit.");
}

}  // namespace mmreg::bind
