#include "pipeline/plan.h"

#include <cstddef>

#include "pipeline/network.h"
#include "pipeline/outputs.h"

namespace mmreg {
namespace {

std::size_t count_of(Extent n) { return std::size_t(voxels(n)); }

template <class T>
T* part(const TableMemory<PlanFacts>& facts, std::size_t offset) {
  return reinterpret_cast<T*>(reinterpret_cast<unsigned char*>(facts.data()) + offset);
}

}  // namespace

Plan::Plan(const Operations& operations, Queue& queue, const Engine& engine, const Scan& fixed_scan,
           const Scan& moving_scan, const AffineMap& alignment, std::optional<float> outside)
    : fixed(operations, queue, count_of(fixed_scan.extent)),
      moving(operations, queue, count_of(moving_scan.extent)),
      seen_fixed(operations, queue, count_of(engine.extent)),
      seen_moving(operations, queue, count_of(engine.extent)),
      displacement_mm(operations, queue, 3 * count_of(fixed_scan.extent)),
      warped(operations, queue, count_of(fixed_scan.extent)),
      valid(operations, queue, count_of(fixed_scan.extent)),
      operations_(operations),
      queue_(queue),
      engine_(engine),
      fixed_scan_(fixed_scan),
      moving_scan_(moving_scan),
      frames_(fixed_scan, moving_scan, alignment),
      field_(constant(operations, queue, 3 * voxels(field_extent()), 0)),  // nothing moves across slices
      used_field_(operations, queue, field_.size()),
      sample_(operations, queue, displacement_mm.size()),
      u_(operations, queue, displacement_mm.size()),
      facts_(operations, queue, 1),
      outside_(outside
                   ? Outside(*outside)
                   : Outside(part<const float>(facts_, offsetof(PlanFacts, moving) + offsetof(Extremes, smallest)))) {
  fixed_scan_.data = fixed.data(), moving_scan_.data = moving.data();
}

void Plan::see() {
  mmreg::see(operations_, queue_, engine_, fixed_scan_, AffineMap(), seen_fixed.data(),
             part<Extremes>(facts_, offsetof(PlanFacts, fixed)));
  mmreg::see(operations_, queue_, engine_, moving_scan_, frames_.affine, seen_moving.data(),
             part<Extremes>(facts_, offsetof(PlanFacts, moving)));
}

void Plan::follow() {
  operations_.combine(queue_, std::int64_t(field_.size()), 1, field_.data(), 0, field_.data(), used_field_.data());
  mmreg::follow(operations_, queue_, engine_, used_field_.data(), fixed_scan_, u_.data());
  operations_.count_folds(queue_, u_.data(), fixed_scan_.extent, least_determinant,
                          part<std::int64_t>(facts_, offsetof(PlanFacts, folds)));
  render();
}

void Plan::render() {
  mmreg::render(operations_, queue_, frames_, fixed_scan_, moving_scan_, u_.data(), outside_, displacement_mm.data(),
                sample_.data(), warped.data(), valid.data());
}

PlanFacts Plan::facts() {
  PlanFacts found{};
  facts_.download(&found);
  return found;
}

std::int64_t Plan::mend() {
  const std::int64_t left =
      operations_.unfold(queue_, u_.data(), fixed_scan_.extent, least_determinant, most_unfold_rounds);
  render();
  facts();  // waits
  return left;
}

}  // namespace mmreg
