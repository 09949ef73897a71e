#include "capi/engines/pipeline_engine.h"

#include <algorithm>
#include <cmath>

#include "capi/guard.h"
#include "ops/interruption.h"

namespace mmreg::capi {
namespace {

constexpr float kFurthest = 1e5f, kMostPlane = 1e6f;  // as in the Python package (bundle/network_output.py)
constexpr double kSameColumn = 1e-3;                  // of its length

// Runs a network on images of its grid and copies its output, unless `stop` ends the run.
template <class Number>
void run(EngineThread& thread, int stage, std::initializer_list<const float*> images, Number* output, float most,
         const Stop& stop) {
  BoundNetwork& network = thread.network(stage);
  int k = 0;
  for (const float* image : images) std::copy_n(image, network.image_size(), network.input(k++));
  if (!thread.run(stage, stop)) throw Abandoned();
  const float* const found = network.output();
  for (std::size_t i = 0; i < network.output_size(); ++i)
    if (!(std::abs(found[i]) <= most))
      refuse("MMREG_E_MODEL_OUTPUT",
             "The network is at fault: it must give numbers of at most %g, and gave %g. Register without it, or deploy "
             "another bundle.",
             double(most), double(found[i]));
  std::copy_n(found, network.output_size(), output);
}

// The grid of the networks; a window lies around `centre_mm`.
AffineMap network_grid(const Manifest& manifest, const AffineMap& fixed_affine, const Point& centre_mm) {
  AffineMap affine = compose(fixed_affine, manifest.network_to_fixed);
  if (!manifest.is_rigid()) return affine;
  set_column(affine, 3, {});
  const Extent n = manifest.network_shape;
  set_column(affine, 3, centre_mm - apply(affine, {{0.5 * (n.d - 1), 0.5 * (n.h - 1), 0.5 * (n.w - 1)}}));
  return affine;
}

}  // namespace

Engine pipeline_engine(const Manifest& manifest, const std::vector<double>& expected_s, const AffineMap& fixed_affine,
                       const Point& centre_mm, EngineThread& thread) {
  Engine engine;
  engine.output = manifest.output;
  engine.extent = manifest.network_shape;
  engine.affine = network_grid(manifest, fixed_affine, centre_mm);
  engine.intensities = manifest.intensity;
  engine.dims = manifest.dims;
  engine.factor = manifest.factor;
  engine.integration_steps = manifest.integration_steps;
  engine.planes = manifest.planes;
  engine.expected_s = expected_s;
  engine.slack_s = 1e-3 * manifest.slack_ms;
  engine.field = [&thread](const float* fixed, const float* moving, float* field, const Stop& stop) {
    run(thread, 0, {fixed, moving}, field, kFurthest, stop);
  };
  engine.describe = [&thread](Side, const float* image, float* planes, const Stop& stop) {
    run(thread, 0, {image}, planes, kMostPlane, stop);
  };
  engine.motion = [&thread](int stage, const float* fixed, const float* moving, double numbers[6], const Stop& stop) {
    run(thread, stage, {fixed, moving}, numbers, kFurthest, stop);
  };
  return engine;
}

void check_fixed_grid(const Manifest& manifest, Extent n, const AffineMap& affine) {
  const Extent m = manifest.fixed_shape;
  if (n.d != m.d || n.h != m.h || n.w != m.w)
    refuse("MMREG_E_DEPLOYMENT_GRID",
           "The fixed image has %d x %d x %d voxels, and the deployment was made for %d x %d x %d. Resample it, or "
           "deploy the bundle for its grid.",
           n.d, n.h, n.w, m.d, m.h, m.w);
  for (int a = 0; a < 3; ++a) {
    double off = 0, length = 0;
    for (int i = 0; i < 3; ++i) {
      const double expected = manifest.fixed_linear[3 * i + a];
      off += (affine(i, a) - expected) * (affine(i, a) - expected);
      length += expected * expected;
    }
    if (!(off <= kSameColumn * kSameColumn * length))
      refuse("MMREG_E_DEPLOYMENT_GRID",
             "Axis %d of the fixed image is off by %.3g mm from that of the deployment, whose step is %.6g mm: the "
             "spacing or the orientation differs. Resample it, or deploy the bundle for its grid.",
             a, std::sqrt(off), std::sqrt(length));
  }
}

void check_moving_grid(const Manifest& manifest, Extent n) {
  const Extent m = manifest.largest_moving_shape;
  if (n.d > m.d || n.h > m.h || n.w > m.w)
    refuse(
        "MMREG_E_DEPLOYMENT_GRID",
        "The moving image has %d x %d x %d voxels, and the deployment was made for at most %d x %d x %d. Crop it, or "
        "deploy the bundle for its grid.",
        n.d, n.h, n.w, m.d, m.h, m.w);
}

}  // namespace mmreg::capi
