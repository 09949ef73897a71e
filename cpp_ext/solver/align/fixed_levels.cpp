#include "solver/align/fixed_levels.h"

#include <algorithm>

namespace mmreg {
namespace {

constexpr std::int64_t kEdgeSamples = 4000;                                // for the agreement of edges
constexpr std::int64_t kSamples[] = {4000, 16000, 50000, 100000, 150000};  // at most, coarsest level first

}  // namespace

FixedLevels::FixedLevels(const Context& context, const Scan& scan, const ScanStatistics& statistics,
                         const std::vector<double>& spacings_mm, const std::vector<Point>& axes)
    : context_(context),
      statistics_(statistics),
      spacings_mm_(spacings_mm),
      axes_(axes),
      pyramid_(build_pyramid(context, scan, statistics, spacings_mm)),
      samples_(spacings_mm.size()),
      edges_(spacings_mm.size()) {}

const FixedSamples& FixedLevels::samples(std::size_t level) {
  if (!samples_[level])
    samples_[level] = std::make_unique<FixedSamples>(
        draw_samples(context_, at(level), statistics_, spacing_mm(level), kSamples[std::min<std::size_t>(level, 4)]));
  return *samples_[level];
}

std::shared_ptr<const FixedEdges> FixedLevels::edges(std::size_t level) {
  if (!edges_[level]) {
    const FixedSamples few = draw_samples(context_, at(level), statistics_, spacing_mm(level), kEdgeSamples);
    edges_[level] = std::make_shared<const FixedEdges>(
        fixed_edges(context_, few, at(level), statistics_.centre_mm, spacing_mm(level), axes_));
  }
  return edges_[level];
}

}  // namespace mmreg
