#include "capi/outputs.h"

#include <algorithm>
#include <cmath>

#include "capi/grids.h"
#include "capi/host_image.h"
#include "pipeline/frames.h"

namespace mmreg::capi {
namespace {

void check_size(const void* memory, std::size_t bytes, std::size_t needed, const char* name) {
  if (memory && bytes < needed)
    refuse("MMREG_E_OUTPUT_SIZE", "outputs->%s needs %zu bytes; found %zu.", name, needed, bytes);
}

void write_field(const Buffer<float>& field, int space, float* out) {
  if (!out || !field.data()) return;
  field.download(out);
  const std::int64_t negative = space == MMREG_LPS ? 2 * voxels(field.extent()) : 0;
  for (std::int64_t i = 0; i < negative; ++i) out[i] = -out[i];
}

std::int64_t count_of(const std::optional<Folding>& folding) {
  return folding ? *std::max_element(folding->count, folding->count + 9) : -1;
}

std::int32_t stage_of(const std::string& name) {
  if (name == stage_name(Stage::align)) return MMREG_STAGE_ALIGN;
  if (name == stage_name(Stage::network)) return MMREG_STAGE_NETWORK;
  return name == stage_name(Stage::deform) ? MMREG_STAGE_DEFORM : MMREG_STAGE_NONE;
}

void add_figures(const Quality& q, mmreg_result& out) {
  out.nmi_before = q.nmi_before;
  out.nmi_after = q.nmi_after;
  out.mind_before = q.mind_before;
  out.mind_after = q.mind_after;
  out.overlap = q.overlap;
  out.min_jacobian = q.folding ? *std::min_element(q.folding->smallest, q.folding->smallest + 9) : std::nan("");
  out.displacement_p50_mm = q.displacement_p50_mm;
  out.displacement_p95_mm = q.displacement_p95_mm;
  out.displacement_max_mm = q.displacement_max_mm;
  out.inverse_consistency_p95_mm = q.inverse_consistency_p95_mm;
  out.folded_voxels = count_of(q.folding);
  out.inverse_folded_voxels = count_of(q.inverse_folding);
}

// Returns a field (3, n) at an index, trilinear, extended by its border value.
Point sampled(const Buffer<float>& field, const Point& index) {
  const Extent n = field.extent();
  const int length[3] = {n.d, n.h, n.w};
  int low[3];
  double t[3];
  for (int a = 0; a < 3; ++a) {
    const double at = std::clamp(index.x[a], 0.0, double(length[a] - 1));
    low[a] = std::min(int(at), std::max(length[a] - 2, 0));
    t[a] = at - low[a];
  }
  Point out{};
  for (int corner = 0; corner < 8; ++corner) {
    int at[3];
    double weight = 1;
    for (int a = 0; a < 3; ++a) {
      const int upper = corner >> (2 - a) & 1;
      at[a] = std::min(low[a] + upper, length[a] - 1);
      weight *= upper ? t[a] : 1 - t[a];
    }
    const std::int64_t i = (std::int64_t(at[0]) * n.h + at[1]) * n.w + at[2];
    for (int c = 0; c < 3; ++c) out.x[c] += weight * double(field.data()[c * voxels(n) + i]);
  }
  return out;
}

}  // namespace

void check_sizes(const mmreg_outputs& o, Extent fixed, Extent moving) {
  const auto n = std::size_t(voxels(fixed)), m = std::size_t(voxels(moving));
  check_size(o.displacement_mm, o.displacement_bytes, 3 * n * sizeof(float), "displacement_mm");
  check_size(o.inverse_mm, o.inverse_bytes, 3 * m * sizeof(float), "inverse_mm");
  check_size(o.warped, o.warped_bytes, n * sizeof(float), "warped");
  check_size(o.valid, o.valid_bytes, n, "valid");
}

void write(const PipelineResult& result, const mmreg_outputs& o, int space) {
  write_field(result.displacement_mm, space, o.displacement_mm);
  write_field(result.inverse_mm, space, o.inverse_mm);
  if (o.warped) result.warped.download(o.warped);
  if (o.valid) result.valid.download(o.valid);
}

mmreg_result summary(const PipelineResult& result, int space) {
  mmreg_result out{};
  out.degraded = result.degraded;
  out.tracked = result.tracked;
  out.finished = stage_of(result.finished);
  out.has_inverse = result.inverse_mm.data() != nullptr;
  out.has_deformation = result.deformation_mm.data() != nullptr;
  to_matrix(between_spaces(result.affine, space), out.matrix);
  to_matrix(between_spaces(result.rigid, space), out.rigid);
  double* const stages[] = {&out.align_ms, &out.network_ms, &out.deform_ms, &out.finish_ms};
  for (int k = 0; k < int(Stage::count); ++k) *stages[k] = 1e3 * result.seconds[k];
  add_figures(result.quality, out);
  return out;
}

void map_points(const PipelineResult& result, const Scan& fixed, int space, const double* points_mm, std::size_t count,
                double* mapped_mm) {
  if (count) check_not_null(points_mm, "points_mm");
  if (count) check_not_null(mapped_mm, "mapped_mm");
  const AffineMap to_index = invert(fixed.affine);
  const double sign = space == MMREG_LPS ? -1 : 1;
  for (std::size_t k = 0; k < count; ++k) {
    Point p{{sign * points_mm[3 * k], sign * points_mm[3 * k + 1], points_mm[3 * k + 2]}};
    if (!std::isfinite(p.x[0] + p.x[1] + p.x[2]))
      refuse("MMREG_E_POINTS_NOT_FINITE", "Points must be finite; point %zu is not. Leave it out.", k);
    if (result.deformation_mm.data()) p = p + sampled(result.deformation_mm, apply(to_index, p));
    p = apply(result.affine, p);
    mapped_mm[3 * k] = sign * p.x[0];
    mapped_mm[3 * k + 1] = sign * p.x[1];
    mapped_mm[3 * k + 2] = p.x[2];
  }
}

// The displacement in voxels, as Python's Transform.warp_labels computes it from that in mm.
void warp_labels(const Context& context, const PipelineResult& result, const Scan& fixed, const mmreg_image& labels,
                 int space, std::int32_t* warped, std::size_t bytes) {
  check_not_null(labels.data, "labels->data");
  check_not_null(warped, "warped");
  const Extent n = fixed.extent, m = extent_of(labels, "label");
  check_size(warped, bytes, std::size_t(voxels(n)) * sizeof(std::int32_t), "warped");
  const AffineMap grid = checked_affine(labels.affine, space, m, "label");
  check_dimensions(n, m);
  const Buffer<std::int32_t> image(context, m);
  convert(labels, m, "label", image.data());
  const AffineMap to_grid = invert(grid);
  Buffer<float> u(context, n, 3);
  const Change c = change(to_grid, compose(to_grid, fixed.affine), AffineMap());
  context.add_affine(result.displacement_mm.data(), n, c.linear, c.map, u.data());
  context.warp_labels(ImageView<const std::int32_t>{image.data(), m}, Displacement{u.data(), n}, warped);
}

}  // namespace mmreg::capi
