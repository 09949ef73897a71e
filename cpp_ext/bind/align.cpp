#include "solver/align.h"

#include <nanobind/stl/optional.h>

#include <chrono>
#include <optional>

#include "bind/arrays.h"

namespace mmreg::bind {
namespace {

using Image = In<float, 3>;
using Mask = std::optional<In<std::uint8_t, 3>>;
using Matrix = In<double, 2>;

Scan scan(const Image& image, const Matrix& affine, const Mask& mask) {
  require(affine.shape(0) == 4 && affine.shape(1) == 4, "an affine must have shape (4, 4)");
  require(image.size() > 0, "a scan must have at least one voxel");
  Scan out{image.data(), extent(image, 0), {}, mask ? mask->data() : nullptr};
  for (int k = 0; k < 12; ++k) out.affine[k] = affine.data()[k];
  if (mask)
    for (int k = 0; k < 3; ++k) require(mask->shape(k) == image.shape(k), "a mask must have the shape of its scan");
  return out;
}

AlignKind kind(const std::string& name) {
  require(name == "none" || name == "rigid" || name == "affine", "kind must be none, rigid or affine");
  return name == "none" ? AlignKind::none : name == "rigid" ? AlignKind::rigid : AlignKind::affine;
}

Out<double> matrix(const AffineMap& map) {
  Out<double> out = make<double>({4, 4});
  for (int k = 0; k < 16; ++k) out.data()[k] = k < 12 ? map.m[k] : (k == 15);
  return out;
}

nb::dict described(const Alignment& a) {
  nb::dict out;
  out["rigid"] = matrix(a.rigid), out["affine"] = matrix(a.affine);
  out["similarity_before"] = a.similarity_before, out["similarity_after"] = a.similarity_after;
  out["information_rigid"] = a.information_rigid, out["information_affine"] = a.information_affine;
  out["overlap"] = a.overlap, out["informative"] = a.informative, out["complete"] = a.complete;
  out["rigid_complete"] = a.rigid_complete;
  out["rigid_seconds"] = a.rigid_seconds, out["affine_seconds"] = a.affine_seconds;
  out["affine_accepted"] = a.affine_accepted, out["finest_mm"] = a.finest_mm, out["levels"] = a.levels;
  out["samples"] = a.samples, out["evaluations"] = a.evaluations;
  return out;
}

nb::dict align_scans(Image fixed, Matrix fixed_affine, Image moving, Matrix moving_affine, Mask fixed_mask,
                     Mask moving_mask, const std::string& kind_name, double limit_ms, int threads,
                     const std::string& target) {
  const Scan f = scan(fixed, fixed_affine, fixed_mask), m = scan(moving, moving_affine, moving_mask);
  AlignOptions options;
  options.kind = kind(kind_name);
  Alignment found;
  {
    using Clock = std::chrono::steady_clock;
    const Clock::time_point start = Clock::now();
    Call call(target, threads);
    found = align(*call.operator->(), call.queue(), f, m, options, [&] {
      return limit_ms >= 0 && std::chrono::duration<double, std::milli>(Clock::now() - start).count() >= limit_ms;
    });
  }
  return described(found);
}

}  // namespace

void bind_align(nb::module_& m) {
  m.def("align", &align_scans, "fixed"_a.noconvert(), "fixed_affine"_a, "moving"_a.noconvert(), "moving_affine"_a,
        "fixed_mask"_a = nb::none(), "moving_mask"_a = nb::none(), "kind"_a = "affine", "limit_ms"_a = -1.0,
        "threads"_a = 0, "target"_a = "",
        "Rigid and affine map from fixed mm to moving mm. Affines take array indices to mm; limit_ms < 0: no limit.");
}

}  // namespace mmreg::bind
