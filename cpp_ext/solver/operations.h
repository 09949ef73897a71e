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
#include "core/histogram.h"
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

  // Filters and features. Outside of the image is its border value; voxels must be finite. radius, factor and
  // sigma_vox are per axis. gaussian: weights cut at ceil(4 sigma); box: mean of 2 radius + 1; both also in place.
  void (*gaussian)(Queue&, const float* image, int channels, Extent n, const float sigma_vox[3], float* out);
  void (*box)(Queue&, const float* image, int channels, Extent n, const int radius[3], float* out);
  // Mean of blocks of factor voxels, n / factor rounded up of them; a block at the border takes what exists.
  void (*pool)(Queue&, const float* image, int channels, Extent n, const int factor[3], float* out);
  void (*pool_features)(Queue&, const Half* features, int channels, Extent n, const int factor[3], Half* out);
  // MIND-SSC with patches of 2 radius + 1; (12, d, h, w), or Half channel-last with 16 channels, the last 4 zero.
  void (*mind)(Queue&, const float* image, Extent n, int radius, int dilation, float* features);
  void (*mind_half)(Queue&, const float* image, Extent n, int radius, int dilation, Half* features);

  // Dense search on a coarse grid. cost[cell][k]: K = product of (2 radius + 1) displacements, z slowest; mean over
  // the first `used` channels of the squared difference between fixed(cell) and moving(cell + displacement).
  void (*cost_volume)(Queue&, const Half* fixed, const Half* moving, int channels, int used, Extent n,
                      const int radius[3], float* cost);
  void (*cost_volume_half)(Queue&, const Half* fixed, const Half* moving, int channels, int used, Extent n,
                           const int radius[3], Half* cost);
  // Mean over the (2 radius + 1)^3 neighbouring cells, for each of the `count` displacements; also in place.
  void (*smooth_cost)(Queue&, const float* cost, Extent n, int count, int radius, float* out);
  void (*smooth_cost_half)(Queue&, const Half* cost, Extent n, int count, int radius, Half* out);
  // out(cell) = the displacement with the least cost + weight |displacement - u(cell)|^2; in a tie the centre, then
  // the first. out may be u.
  void (*coupled_convex)(Queue&, const float* cost, const float* u, Extent n, const int radius[3], float weight,
                         float* out);
  void (*coupled_convex_half)(Queue&, const Half* cost, const float* u, Extent n, const int radius[3], float weight,
                              float* out);

  // Similarity. The mean over all voxels of the squared correlation in windows of 2 radius + 1; map may be nullptr.
  double (*local_ncc)(Queue&, const float* fixed, const float* moving, Extent n, int radius, float* map);
  // Counts, (fixed bins, moving bins); voxels with mask 0 are left out, mask may be nullptr. Voxels must be finite.
  void (*joint_histogram)(Queue&, const float* fixed, const float* moving, const std::uint8_t* mask, std::int64_t count,
                          Binning fixed_bins, Binning moving_bins, Parzen parzen, double* histogram);
  // The values below which the given fractions (in [0, 1], at most 16) of the finite voxels inside of the mask lie,
  // interpolated between voxels; returns how many voxels that were, and leaves the values alone if none.
  std::int64_t (*percentiles)(Queue&, const float* image, const std::uint8_t* mask, std::int64_t count,
                              const double* fractions, int wanted, float* values);
};

// The best table this machine can run, or the one named; nullptr if there is none of that name or this
// CPU cannot run it. `cpu_target_names` lists the names compiled in, best first, ended by nullptr.
const Operations* cpu_operations(const char* name = nullptr);
const char* const* cpu_target_names();

}  // namespace mmreg
