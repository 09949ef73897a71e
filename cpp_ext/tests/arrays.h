// What the tests of operations share: every target and number of threads, extents that go wrong first, and
// reproducible numbers in heap blocks of exactly the size asked for, so that a sanitizer sees one step too far.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "ops/device.h"
#include "ops/operations.h"

namespace mmreg::test {

// one voxel, lines along each axis, planes, less than a vector, a vector and a tail
inline const Extent edge_extents[] = {{1, 1, 1},  {1, 1, 7}, {1, 9, 1},  {3, 1, 1},  {1, 9, 40},
                                      {2, 1, 17}, {5, 7, 3}, {4, 4, 16}, {7, 6, 33}, {9, 11, 70}};

inline std::vector<const Operations*> all_targets() {
  std::vector<const Operations*> found;
  for (const char* const* name = cpu_target_names(); *name; ++name)
    if (const Operations* operations = cpu_operations(*name)) found.push_back(operations);
  return found;
}

// The CUDA operations, compiled for the host. Kernels read the host's memory like their own; the host cannot read
// theirs.
inline const Operations& device_table() { return *mmreg_device().operations; }

inline std::vector<const Operations*> all_tables() {
  std::vector<const Operations*> found = all_targets();
#if defined(__x86_64__)  // elsewhere the tests may run under emulation, where time counts
  found.push_back(&device_table());
#endif
  return found;
}

inline std::unique_ptr<Queue> open(const Operations& operations, int threads) {
  return std::unique_ptr<Queue>(operations.open(threads));
}

// Uniform in [low, high), the same on every machine (SplitMix64, Steele et al. 2014).
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
