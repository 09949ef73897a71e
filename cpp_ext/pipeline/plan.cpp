#include "pipeline/plan.h"

#include <cstddef>

#include "pipeline/network.h"
#include "pipeline/outputs.h"

namespace mmreg {
namespace {

template <class T>
T* part(const Buffer<PlanFacts>& facts, std::size_t offset) {
  return reinterpret_cast<T*>(reinterpret_cast<unsigned char*>(facts.data()) + offset);
}

}  // namespace

Plan::Plan(const Context& context, const Engine& engine, const Scan& fixed_scan, const Scan& moving_scan,
           const AffineMap& alignment, std::optional<float> outside)
    : fixed(context, fixed_scan.extent),
      moving(context, moving_scan.extent),
      seen_fixed(context, engine.extent),
      seen_moving(context, engine.extent),
      displacement_mm(context, fixed_scan.extent, 3),
      warped(context, fixed_scan.extent),
      valid(context, fixed_scan.extent),
      context_(context),
      engine_(engine),
      fixed_scan_(fixed_scan),
      moving_scan_(moving_scan),
      frames_(fixed_scan, moving_scan, alignment),
      field_(constant(context, field_extent(), 0, 3)),  // nothing moves across slices
      used_field_(context, field_extent(), 3),
      sample_(context, fixed_scan.extent, 3),
      u_(context, fixed_scan.extent, 3),
      facts_(context, 1),
      outside_(outside
                   ? Outside(*outside)
                   : Outside(part<const float>(facts_, offsetof(PlanFacts, moving) + offsetof(Extremes, smallest)))) {
  fixed_scan_.data = fixed.data();
  moving_scan_.data = moving.data();
}

void Plan::preprocess() {
  preprocess_scan(context_, engine_, fixed_scan_, AffineMap(), seen_fixed.data(),
                  part<Extremes>(facts_, offsetof(PlanFacts, fixed)));
  preprocess_scan(context_, engine_, moving_scan_, frames_.affine, seen_moving.data(),
                  part<Extremes>(facts_, offsetof(PlanFacts, moving)));
}

void Plan::finish() {
  context_.axpby(std::int64_t(field_.size()), 1, field_.data(), 0, field_.data(), used_field_.data());
  field_to_fixed(context_, engine_, used_field_.data(), fixed_scan_, u_.data());
  context_.count_folds(u_.data(), fixed_scan_.extent, kLeastDeterminant,
                       part<std::int64_t>(facts_, offsetof(PlanFacts, folds)));
  resample_outputs();
}

void Plan::resample_outputs() {
  mmreg::resample_outputs(context_, frames_, fixed_scan_, moving_scan_, u_.data(), outside_, displacement_mm.data(),
                          sample_.data(), warped.data(), valid.data());
}

PlanFacts Plan::facts() {
  PlanFacts found{};
  facts_.download(&found);
  return found;
}

std::int64_t Plan::remove_folds() {
  const std::int64_t left = context_.remove_folds(u_.data(), fixed_scan_.extent, kLeastDeterminant, kMostFoldRounds);
  resample_outputs();
  facts();  // waits
  return left;
}

}  // namespace mmreg
