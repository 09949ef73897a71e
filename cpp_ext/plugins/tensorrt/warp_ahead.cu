// The warp of a batch as one kernel: a thread computes all channels of a voxel. Compiled ahead of time to PTX
// (cmake/cuda.cmake), it is embedded in engines and launched by TensorRT, which determines the order of its arguments:
// inputs, scalars, outputs. warp_plugin.cpp launches it, too. Not yet run by TensorRT; the same code is tested in the
// host build.
#include "cuda/sampling.h"
#include "plugins/tensorrt/warp_entries.h"

#if defined(MMREG_CUDA_ON_HOST)
namespace {
struct Place {
  unsigned x, y, z;
};
thread_local Place blockIdx, threadIdx;
}  // namespace

// Sets the thread that the entries run as.
extern "C" MMREG_ENTRY void mmreg_warp_thread(unsigned column, unsigned row, unsigned x, unsigned y, unsigned z) {
  threadIdx = {column, row, 0};
  blockIdx = {x, y, z};
}
#endif

namespace mmreg::MMREG_TARGET {
namespace {

struct Task {
  int channels;
  Extent m, n;  // extent of the image; extent of the displacement and the result
  Border border;
};

template <int C>
MMREG_DEVICE inline void warp_channels(const float* image, const Task& task, const Points& p, float* warped) {
  Floats value[C];
  sample<Interpolation::linear>(source(image, task.m), task.border, p, value);
  for (int k = 0; k < C; ++k) warped[k * voxels(task.n)] = value[k];
}

template <class PointsOf>
MMREG_DEVICE inline void warp_batch(const float* image, const float* u, const Task& task, float* warped) {
  const std::int64_t row = blockIdx.x * std::int64_t(tensorrt::kBlockRows) + threadIdx.y, sample = blockIdx.z;
  const int x = int(blockIdx.y * tensorrt::kBlockColumns + threadIdx.x);
  if (x >= task.n.w || row >= std::int64_t(task.n.d) * task.n.h) return;
  const int z = int(row) / task.n.h;
  const Voxel v{z, int(row) - z * task.n.h, x, row * task.n.w + x};
  const std::int64_t from = voxels(task.m), to = voxels(task.n);
  const Points p = PointsOf{u + sample * PointsOf::components * to, to}(v, One{});
  image += sample * task.channels * from;
  warped += sample * task.channels * to + v.index;
  int k = 0;
  for (; k + 3 <= task.channels; k += 3) warp_channels<3>(image + k * from, task, p, warped + k * to);
  for (; k < task.channels; ++k) warp_channels<1>(image + k * from, task, p, warped + k * to);
}

MMREG_DEVICE inline Border border_of(int extend) { return extend ? Border::extend : Border::zero; }

}  // namespace
}  // namespace mmreg::MMREG_TARGET

using namespace mmreg;
using namespace mmreg::MMREG_TARGET;

extern "C" MMREG_ENTRY void mmreg_warp_volumes(const float* image, const float* u, int channels, int m_d, int m_h,
                                               int m_w, int n_d, int n_h, int n_w, int extend, float* warped) {
  const Task task{channels, {m_d, m_h, m_w}, {n_d, n_h, n_w}, border_of(extend)};
  warp_batch<Displaced>(image, u, task, warped);
}

extern "C" MMREG_ENTRY void mmreg_warp_planes(const float* image, const float* u, int channels, int m_h, int m_w,
                                              int n_h, int n_w, int extend, float* warped) {
  const Task task{channels, {1, m_h, m_w}, {1, n_h, n_w}, border_of(extend)};
  warp_batch<DisplacedInPlane>(image, u, task, warped);
}
