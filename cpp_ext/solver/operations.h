// The operation table: all that the solver and the pipeline ask of a processor. cpu/ fills one table
// per target; a CUDA table can be put under the same solver.
//
// Rules for every operation
// - Images are float32, planar channels, (channels, d, h, w) C-order. Displacements are (3, d, h, w), in
//   voxels of their own grid, components ordered like the axes. Features are Half, channel-last,
//   (d, h, w, channels), channels a multiple of 16, unused ones zero.
// - A displacement u maps a point of its grid to p + u(p): warping is a pull-back.
// - Pointers belong to the table's memory; outputs never overlap inputs unless the comment says so.
// - Results are bit-identical for any number of threads: work is cut into pieces whose size does not
//   depend on the threads, and partial sums are added in the order of the pieces.
// - Scratch memory belongs to the queue: it grows on first use and is reused afterwards.
// - Extents of 1 along any axis are ordinary input.
#pragma once
#include "core/types.h"

namespace mmreg {

struct Queue {  // a pool of threads (CPU) or a stream (CUDA); one user at a time
  virtual ~Queue() = default;
};

enum class Interpolation : int { nearest, linear, cubic };  // cubic: B-spline of prefiltered coefficients
enum class Border : int { zero, extend };  // outside: 0 (images), or the border value (fields, features)

struct Operations {
  const char* name;

  Queue* (*open)(int threads);  // threads <= 0: as many as this process may use
  void* (*allocate)(Queue&, std::size_t bytes);
  void (*release)(Queue&, void* memory);
  void (*upload)(Queue&, void* to, const void* from, std::size_t bytes);
  void (*download)(Queue&, void* to, const void* from, std::size_t bytes);  // waits for the queue

  void (*jacobian)(Queue&, const float* u, Extent n, float* determinant);
};

// The best table this machine can run, or the one named; nullptr if there is none of that name or this
// CPU cannot run it. `cpu_target_names` lists the names compiled in, best first, ended by nullptr.
const Operations* cpu_operations(const char* name = nullptr);
const char* const* cpu_target_names();

}  // namespace mmreg
