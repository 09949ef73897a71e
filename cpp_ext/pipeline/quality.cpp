#include "pipeline/quality.h"

#include <vector>

#include "solver/difference.h"
#include "solver/fill.h"
#include "solver/information.h"

namespace mmreg {
namespace {

constexpr int kBins = 48;

double similarity(const Operations& operations, Queue& queue, const Scan& fixed, const float* moving,
                  const std::uint8_t* valid) {
  const std::int64_t count = voxels(fixed.extent);
  const Summary f = operations.summary(queue, fixed.data, count), m = operations.summary(queue, moving, count);
  std::vector<double> histogram(kBins * kBins);
  operations.joint_histogram(queue, fixed.data, moving, valid, count, {float(f.smallest), float(f.largest), kBins},
                             {float(m.smallest), float(m.largest), kBins}, Parzen::none, histogram.data());
  double total = 0;
  for (double c : histogram) total += c;
  return total > 0 ? information(histogram.data(), kBins, kBins).normalised() : 0;
}

struct Spread {
  double mean, p50, p95, largest;
};

Spread spread(const Operations& operations, Queue& queue, const float* u, Extent n, const std::uint8_t* valid) {
  TableMemory<float> length(operations, queue, std::size_t(voxels(n)));
  operations.lengths(queue, u, n, length.data());
  const double fractions[3] = {0.5, 0.95, 1};
  float values[3] = {};
  const std::int64_t count = operations.percentiles(queue, length.data(), valid, voxels(n), fractions, 3, values);
  if (valid) {
    const TableMemory<float> none = constant(operations, queue, voxels(n), 0);
    operations.select(queue, valid, voxels(n), length.data(), none.data(), length.data());
  }
  const double sum = operations.summary(queue, length.data(), voxels(n)).sum;
  return {count > 0 ? sum / double(count) : 0, values[0], values[1], values[2]};
}

// How far each fixed point lands from itself after the transform and then its inverse, (3, fixed), in mm.
TableMemory<float> there_and_back(const Operations& operations, Queue& queue, const Scan& fixed, const Scan& moving,
                                  const Fields& fields) {
  const Extent n = fixed.extent;
  TableMemory<float> error(operations, queue, 3 * std::size_t(voxels(n)));
  operations.warp(queue, fields.back, 3, moving.extent, fields.sample, n, Interpolation::linear, Border::extend,
                  error.data(), nullptr);
  operations.combine(queue, 3 * voxels(n), 1, error.data(), 1, fields.sample, error.data());
  const AffineMap& to_mm = fields.frames.moving_mm;
  const Change c = change(to_mm, to_mm, fields.frames.fixed_mm);
  operations.add_affine(queue, error.data(), n, c.linear, c.map, error.data());
  return error;
}

}  // namespace

void measure(const Operations& operations, Queue& queue, const Scan& fixed, const Scan& moving, const Fields& fields,
             PipelineResult& r) {
  Quality& q = r.quality;
  const AffineMap start = compose(invert(fields.frames.moving_mm), fields.frames.fixed_mm);
  const Prepared before = prepare(operations, queue, fixed, moving, start);
  q.similarity_before = similarity(operations, queue, fixed, before.moving.data(), before.valid.data());
  q.similarity_after = similarity(operations, queue, fixed, r.warped.data(), r.valid.data());
  const auto lowest = [&](const float* image) {
    return float(operations.summary(queue, image, voxels(fixed.extent)).smallest);
  };
  const auto difference = [&](const float* seen, const std::uint8_t* valid) {
    const Filled filled = fill(operations, queue, input_of(fixed, seen, valid));
    DeformFacts facts{};  // only the background is asked for
    facts.fixed.foreground.background = lowest(filled.input.fixed);
    facts.moving.foreground.background = lowest(filled.input.moving);
    return feature_difference(operations, queue, filled.input, facts, factor_of(2, filled.input));
  };
  q.mind_before = difference(before.moving.data(), before.valid.data());
  q.mind_after = difference(r.warped.data(), r.valid.data());
  q.folding = operations.folding(queue, fields.u, fixed.extent);
  q.overlap = covered(operations, queue, r.valid);
  const bool deformed = r.deformation_mm.data();
  const Spread moved = deformed ? spread(operations, queue, r.deformation_mm.data(), fixed.extent, nullptr) : Spread{};
  q.displacement_p50_mm = moved.p50, q.displacement_p95_mm = moved.p95, q.displacement_max_mm = moved.largest;
  if (!fields.back) return;
  q.inverse_folding = operations.folding(queue, fields.back, moving.extent);
  const TableMemory<float> error = there_and_back(operations, queue, fixed, moving, fields);
  const Spread consistency = spread(operations, queue, error.data(), fixed.extent, r.valid.data());
  q.inverse_consistency_mean_mm = consistency.mean, q.inverse_consistency_p95_mm = consistency.p95;
  q.inverse_consistency_max_mm = consistency.largest;
}

}  // namespace mmreg
