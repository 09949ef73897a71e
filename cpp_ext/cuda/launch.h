// How an operation runs on a CUDA device: as many threads as there are elements or voxels, or blocks of threads that
// share memory and wait for each other. Bodies are lambdas marked MMREG_DEVICE that take all they need by value.
//
// Any C++ compiler builds the same files for the host, where threads run one after another (MMREG_CUDA_ON_HOST): the
// kernels are then tested against their twins on machines without a GPU. With MMREG_CUDA_ON_HOST=scrambled in the
// environment everything runs from the last to the first, on memory full of NaN: what depends on the order of threads,
// or on memory that nobody has written, comes out different.
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
constexpr int kTileColumns = 32, kTileRows = kBlockThreads / kTileColumns;  // of the voxels of a block
constexpr int kMostSharedBytes = 48 << 10;                                  // of a block, on every device

// A block of threads. What threads leave in shared memory in one `threads` is there for all of them in the next;
// local variables do not last from one to the next, but see OfThread.
struct Block {
  int index;              // of the block
  unsigned char* memory;  // shared, of the requested size
#if defined(MMREG_CUDA_ON_HOST)
  bool scrambled;
#endif

  template <class Body>
  MMREG_DEVICE void threads(const Body& body) const {  // body(thread) for all threads; then they wait for each other
#if defined(__CUDACC__)
    body(int(threadIdx.x));
    __syncthreads();
#else
    for (int t = 0; t < kBlockThreads; ++t) body(scrambled ? kBlockThreads - 1 - t : t);
#endif
  }
};

// What each thread of a block keeps to itself from one `threads` to the next: in registers, if it is only indexed by
// constants.
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

// *to += value while others do the same, in no particular order: exact, and so always the same, for integers only.
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

void check(cudaError_t, const char* what);  // throws a DeviceError if it is one

// While it lives, the queue's device is the thread's own.
class Launch {
 public:
  explicit Launch(Queue&);
  ~Launch();
  void check(const char* what) const;  // throws a DeviceError if what was launched did not start
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

// body(i) for i in [0, count).
template <class Body>
void for_each(Queue& queue, std::int64_t count, const Body& body) {
  if (count <= 0) return;
  const Launch launch(queue);
  run_each<<<pieces_of(count, kBlockThreads), kBlockThreads, 0, launch.stream>>>(count, body);
  launch.check("a kernel over elements");
}

// body(voxel) for every voxel of a grid.
template <class Body>
void for_voxels(Queue& queue, Extent n, const Body& body) {
  if (voxels(n) <= 0) return;
  const unsigned across = pieces_of(n.w, kTileColumns), down = pieces_of(std::int64_t(n.d) * n.h, kTileRows);
  const Launch launch(queue);  // blocks in one row, which may be longer than a column of them
  run_voxels<<<across * down, dim3(kTileColumns, kTileRows), 0, launch.stream>>>(n, across, body);
  launch.check("a kernel over voxels");
}

// body(block) for `count` blocks, each with `shared_bytes` of memory of its own. Resident, unless 0: for how many
// blocks at once the registers of a multiprocessor must do, where the compiler's own choice is bad.
template <int Resident = 0, class Body>
void for_blocks(Queue& queue, std::int64_t count, int shared_bytes, const Body& body) {
  if (count <= 0) return;
  const Launch launch(queue);
  run_blocks<Resident><<<unsigned(count), kBlockThreads, shared_bytes, launch.stream>>>(body);
  launch.check("a kernel over blocks");
}

#else

// Does it, or keeps it for the graph that is made on the queue.
void perform(Queue&, std::function<void()> work);

inline bool is_scrambled() {
  const char* const asked = std::getenv("MMREG_CUDA_ON_HOST");
  return asked && std::strcmp(asked, "scrambled") == 0;
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
