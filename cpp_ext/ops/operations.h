// The operation table of a processor, and the data types of its operations. cpu/ fills one table per target, cuda/
// another; op_list.h documents the operations.
#pragma once
#include "core/adam_step_data.h"
#include "core/alignment_data.h"
#include "core/detail_data.h"
#include "core/histogram.h"
#include "core/normalisation_data.h"
#include "core/options.h"
#include "core/similarity_gradient_data.h"
#include "core/types.h"

namespace mmreg {

struct Queue {  // a thread pool (CPU) or a stream (CUDA); not for concurrent use
  virtual ~Queue() = default;
};

// Determinants of p -> p + u(p) with the differences of u taken in 9 ways: [0] as in `jacobian`; [1 + 4a + 2b + c] with
// a, b, c = 1 for the forward and 0 for the backward difference along axes 0, 1, 2, at the voxels that have all three
// neighbours. The differences along an axis of 1 are 0.
struct Folding {
  float smallest[9];      // the least determinant that is not NaN; +infinity if there is none
  std::int64_t count[9];  // number of voxels whose determinant is 0, negative or NaN
};

struct Summary {
  double sum, mean, smallest, largest;  // over the finite values; 0 if there are none
  std::int64_t not_finite;
};

struct MaxDisplacement {
  double longest;           // length of the longest finite displacement vector, in voxels
  std::int64_t not_finite;  // number of voxels with a component that is NaN or infinite
};

struct Inversion {
  double largest, mean;  // of the residual |v(x) + u(x + v(x))| over the grid, in voxels
};

struct Operations {
  const char* name;
  bool on_device;  // its memory is on a device: transfer data by upload and download

  Queue* (*open)(int threads);  // threads <= 0: as many as this process may use
#define MMREG_OPERATION(result, name, parameters) result(*name) parameters;
#include "ops/op_list.h"
};

constexpr int kMostFoldRounds = 256;  // 64 rounds left folds in fields of large motion

// Returns the best table that this CPU can run, or the named one; nullptr if no table has that name or this CPU cannot
// run it. cpu_target_names returns the compiled-in names, best first, terminated by nullptr.
const Operations* cpu_operations(const char* name = nullptr);
const char* const* cpu_target_names();

}  // namespace mmreg
