// Fixtures for tests of operations: all targets, critical extents, and reproducible numbers in heap blocks of exactly
// the requested size, so that a sanitizer detects accesses out of bounds.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "ops/device.h"
#include "ops/operations.h"

namespace mmreg::test {

// One voxel, lines along each axis, planes, less than a vector, a vector and a remainder.
inline const Extent edge_extents[] = {{1, 1, 1},  {1, 1, 7}, {1, 9, 1},  {3, 1, 1},  {1, 9, 40},
                                      {2, 1, 17}, {5, 7, 3}, {4, 4, 16}, {7, 6, 33}, {9, 11, 70}};

inline std::vector<const Operations*> all_targets() {
  std::vector<const Operations*> targets;
  for (const char* const* name = cpu_target_names(); *name; ++name)
    if (const Operations* operations = cpu_operations(*name)) targets.push_back(operations);
  return targets;
}

// The CUDA operations compiled for the host. Kernels can read host memory; the host cannot read device memory.
inline const Operations& device_table() { return *mmreg_device().operations; }

inline std::vector<const Operations*> all_tables() {
  std::vector<const Operations*> tables = all_targets();
#if defined(__x86_64__)  // elsewhere the tests may run under slow emulation
  tables.push_back(&device_table());
#endif
  return tables;
}

inline std::unique_ptr<Queue> open(const Operations& operations, int threads) {
  return std::unique_ptr<Queue>(operations.open(threads));
}

// Returns numbers uniform in [low, high), equal on every machine (SplitMix64, Steele et al. 2014).
inline std::vector<float> uniform(std::int64_t count, float low, float high, std::uint64_t seed = 1) {
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) {
    std::uint64_t z = seed += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    value = low + (high - low) * float((z ^ (z >> 31)) >> 40) * 0x1p-24f;
  }
  return values;
}

}  // namespace mmreg::test
