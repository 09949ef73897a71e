// Selects a CPU table by name, or the best that this CPU can run.
#if MMREG_HAS_AVX2 || MMREG_HAS_AVX512
#include <cpuid.h>
#endif

#include <cstring>

#include "ops/operations.h"

namespace mmreg {
#if MMREG_HAS_AVX512
namespace avx512 {
extern const Operations operations;
}
#endif
#if MMREG_HAS_AVX2
namespace avx2 {
extern const Operations operations;
}
#endif
namespace baseline {
extern const Operations operations;
}

namespace {

#if MMREG_HAS_AVX2 || MMREG_HAS_AVX512
bool has_f16c() {  // not every compiler's __builtin_cpu_supports knows this name
  unsigned a, b, c, d;
  return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}

bool runs_avx2() {  // all features enabled by its flags in CMakeLists.txt; a virtual machine may mask any of them
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
         __builtin_cpu_supports("bmi2") && has_f16c();
}
#endif
#if MMREG_HAS_AVX512
bool runs_avx512() {
  return runs_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd");
}
#endif
bool runs_always() { return true; }

struct Candidate {
  const Operations* operations;
  bool (*runs)();
};

const Candidate candidates[] = {
#if MMREG_HAS_AVX512
    {&avx512::operations, runs_avx512},
#endif
#if MMREG_HAS_AVX2
    {&avx2::operations, runs_avx2},
#endif
    {&baseline::operations, runs_always},
};

}  // namespace

const Operations* cpu_operations(const char* name) {
  for (const Candidate& candidate : candidates)
    if ((!name || std::strcmp(name, candidate.operations->name) == 0) && candidate.runs()) return candidate.operations;
  return nullptr;
}

const char* const* cpu_target_names() {
  static const char* const names[] = {
#if MMREG_HAS_AVX512
      "avx512",
#endif
#if MMREG_HAS_AVX2
      "avx2",
#endif
      "baseline", nullptr};
  return names;
}

}  // namespace mmreg
