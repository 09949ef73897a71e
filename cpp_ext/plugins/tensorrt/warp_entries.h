// Declarations of the kernels in warp_ahead.cu: blocks of columns x rows threads; z of the grid is the sample.
// backends/tensorrt_ahead.py has the same launch parameters for TensorRT.
#pragma once

namespace mmreg::tensorrt {

constexpr int kBlockColumns = 32, kBlockRows = 8;

}  // namespace mmreg::tensorrt

extern "C" {
#if defined(__CUDACC__)
#define MMREG_ENTRY __global__ __launch_bounds__(mmreg::tensorrt::kBlockColumns* mmreg::tensorrt::kBlockRows)
#else
#define MMREG_ENTRY __attribute__((visibility("default")))
#endif

// image (N, channels, m_d, m_h, m_w), u (N, 3, n_d, n_h, n_w), warped (N, channels, n_d, n_h, n_w); extend: 0 for zeros
// outside the image, 1 for its border value.
MMREG_ENTRY void mmreg_warp_volumes(const float* image, const float* u, int channels, int m_d, int m_h, int m_w,
                                    int n_d, int n_h, int n_w, int extend, float* warped);

// image (N, channels, m_h, m_w), u (N, 2, n_h, n_w), warped (N, channels, n_h, n_w).
MMREG_ENTRY void mmreg_warp_planes(const float* image, const float* u, int channels, int m_h, int m_w, int n_h, int n_w,
                                   int extend, float* warped);
}
