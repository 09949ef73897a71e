// Launches operations on a CUDA device: one thread per element or voxel, or blocks of threads with shared memory and
// barriers. Bodies are lambdas marked MMREG_DEVICE that capture by value.
//
// With MMREG_CUDA_ON_HOST any C++ compiler builds the same files for the host, where threads run sequentially: the
// kernels are tested against their references on machines without a GPU. MMREG_CUDA_ON_HOST=scrambled in the
// environment runs threads in reverse order, on memory filled with NaN: results that depend on the order of threads, or
// on uninitialised memory, then differ.
#pragma once
#include "core/types.h"
#include "ops/operations.h"

#if defined(__CUDACC__)
#include <cuda_runtime.h>
#define MMREG_DEVICE __device__
#define MMREG_CONSTANT static __device__ constexpr
#elif defined(MMREG_CUDA_ON_HOST)
#include <cstdlib>
#include <cstring>
#include <functional>
#include <vector>
#define MMREG_DEVICE
#define MMREG_CONSTANT static constexpr
#else
#error "compile with nvcc, or with MMREG_CUDA_ON_HOST for the host"
#endif

namespace mmreg::MMREG_TARGET {

constexpr int kBlockThreads = 256;
constexpr int kTileColumns = 32, kTileRows = kBlockThreads / kTileColumns;  // of a block of voxels
constexpr int kMostSharedBytes = 48 << 10;                                  // per block, on every device

// A block of threads. Shared memory written in one call of `threads` is visible to all threads in the next call. Local
// variables do not persist between calls; see OfThread.
struct Block {
  int index;              // of the block in the launch
  unsigned char* memory;  // shared memory of the requested size
#if defined(MMREG_CUDA_ON_HOST)
  bool scrambled;
#endif

  template <class Body>
  MMREG_DEVICE void threads(const Body& body) const {  // calls body(thread) for all threads, then a barrier
#if defined(__CUDACC__)
    body(int(threadIdx.x));
    __syncthreads();
#else
    for (int t = 0; t < kBlockThreads; ++t) body(scrambled ? kBlockThreads - 1 - t : t);
#endif
  }
};

// A variable of each thread that persists between calls of Block::threads, in registers if only indexed by constants.
template <class T>
struct OfThread {
#if defined(__CUDACC__)
  T own;
  MMREG_DEVICE T& operator[](int) { return own; }
#else
  std::vector<T> all = std::vector<T>(kBlockThreads);
  T& operator[](int t) { return all[std::size_t(t)]; }
#endif
};

// Atomic *to += value. Only for integers, whose sum does not depend on the order.
MMREG_DEVICE inline void atomic_add(std::uint32_t* to, std::uint32_t value) {
#if defined(__CUDACC__)
  atomicAdd(to, value);
#else
  *to += value;
#endif
}
MMREG_DEVICE inline void atomic_add(unsigned long long* to, unsigned long long value) {
#if defined(__CUDACC__)
  atomicAdd(to, value);
#else
  *to += value;
#endif
}

#if defined(__CUDACC__)

void check(cudaError_t, const char* what);  // throws a CodedError unless it is cudaSuccess

// Makes the queue's device current to the thread while it lives.
class Launch {
 public:
  explicit Launch(Queue&);
  ~Launch();
  void check(const char* what) const;  // throws a CodedError if the launch failed
  const cudaStream_t stream;

 private:
  int device_, before_;
};

template <class Body>
__global__ void __launch_bounds__(kBlockThreads) run_each(std::int64_t count, const Body body) {
  const std::int64_t i = blockIdx.x * std::int64_t(kBlockThreads) + threadIdx.x;
  if (i < count) body(i);
}

template <class Body>
__global__ void __launch_bounds__(kBlockThreads) run_voxels(Extent n, unsigned blocks_across, const Body body) {
  const unsigned down = blockIdx.x / blocks_across, across = blockIdx.x - down * blocks_across;
  const std::int64_t row = down * std::int64_t(kTileRows) + threadIdx.y;
  const int x = across * kTileColumns + threadIdx.x;
  if (x >= n.w || row >= std::int64_t(n.d) * n.h) return;
  const int z = int(row) / n.h;
  body(Voxel{z, int(row) - z * n.h, x, row * n.w + x});
}

template <int Resident, class Body>
__global__ void __launch_bounds__(kBlockThreads, Resident) run_blocks(const Body body) {
  extern __shared__ __align__(16) unsigned char shared_memory[];
  body(Block{int(blockIdx.x), shared_memory});
}

inline unsigned pieces_of(std::int64_t count, int size) { return unsigned((count + size - 1) / size); }

// Calls body(i) for i in [0, count).
template <class Body>
void for_each(Queue& queue, std::int64_t count, const Body& body) {
  if (count <= 0) return;
  const Launch launch(queue);
  run_each<<<pieces_of(count, kBlockThreads), kBlockThreads, 0, launch.stream>>>(count, body);
  launch.check("a kernel over elements");
}

// Calls body(voxel) for every voxel of a grid.
template <class Body>
void for_voxels(Queue& queue, Extent n, const Body& body) {
  if (voxels(n) <= 0) return;
  const unsigned across = pieces_of(n.w, kTileColumns), down = pieces_of(std::int64_t(n.d) * n.h, kTileRows);
  const Launch launch(queue);  // one-dimensional grid, whose limit is larger than in y and z
  run_voxels<<<across * down, dim3(kTileColumns, kTileRows), 0, launch.stream>>>(n, across, body);
  launch.check("a kernel over voxels");
}

// Calls body(block) for `count` blocks with `shared_bytes` of shared memory each. Resident: minimum number of resident
// blocks per multiprocessor, which limits their registers; 0 leaves it to the compiler.
template <int Resident = 0, class Body>
void for_blocks(Queue& queue, std::int64_t count, int shared_bytes, const Body& body) {
  if (count <= 0) return;
  const Launch launch(queue);
  run_blocks<Resident><<<unsigned(count), kBlockThreads, shared_bytes, launch.stream>>>(body);
  launch.check("a kernel over blocks");
}

#else

// Runs the work, or adds it to the graph being recorded.
void perform(Queue&, std::function<void()> work);

inline bool is_scrambled() {
  const char* const mode = std::getenv("MMREG_CUDA_ON_HOST");
  return mode && std::strcmp(mode, "scrambled") == 0;
}

template <class Body>
void for_each(Queue& queue, std::int64_t count, const Body& body) {
  perform(queue, [=] {
    const bool scrambled = is_scrambled();
    for (std::int64_t i = 0; i < count; ++i) body(scrambled ? count - 1 - i : i);
  });
}

template <class Body>
void for_voxels(Queue& queue, Extent n, const Body& body) {
  perform(queue, [=] {
    const bool scrambled = is_scrambled();
    for (std::int64_t row = 0; row < std::int64_t(n.d) * n.h; ++row)
      for (int k = 0; k < n.w; ++k) {
        const int at = int(scrambled ? std::int64_t(n.d) * n.h - 1 - row : row), x = scrambled ? n.w - 1 - k : k;
        body(Voxel{at / n.h, at % n.h, x, std::int64_t(at) * n.w + x});
      }
  });
}

template <int Resident = 0, class Body>
void for_blocks(Queue& queue, std::int64_t count, int shared_bytes, const Body& body) {
  perform(queue, [=] {
    const bool scrambled = is_scrambled();
    std::vector<unsigned long long> shared(std::size_t(shared_bytes) / 8 + 1);
    for (std::int64_t i = 0; i < count; ++i) {
      if (scrambled) std::memset(shared.data(), 0xff, shared.size() * 8);
      body(Block{int(scrambled ? count - 1 - i : i), reinterpret_cast<unsigned char*>(shared.data()), scrambled});
    }
  });
}

#endif

}  // namespace mmreg::MMREG_TARGET
