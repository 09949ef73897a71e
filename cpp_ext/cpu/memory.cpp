#include "cpu/memory.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <new>

#include "cpu/queue.h"

namespace mmreg {

// Large blocks request huge pages: the first touch of a small page costs more than copying it.
void* allocate_aligned(std::size_t bytes) {
  constexpr std::size_t huge = std::size_t(1) << 21;
  void* memory = nullptr;
  if (posix_memalign(&memory, bytes >= huge ? huge : 64, bytes ? bytes : 64) != 0) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
  if (bytes >= huge) madvise(memory, bytes / huge * huge, MADV_HUGEPAGE);
#endif
  return memory;
}

const Heap host_heap = {allocate_aligned, std::free};

void* cpu_allocate(Queue& queue, std::size_t bytes) { return static_cast<CpuQueue&>(queue).take(bytes); }
void cpu_release(Queue& queue, void* memory) { static_cast<CpuQueue&>(queue).give_back(memory); }
void cpu_trim(Queue& queue) { static_cast<CpuQueue&>(queue).trim(); }
void cpu_copy(Queue&, void* to, const void* from, std::size_t bytes) { std::memcpy(to, from, bytes); }

}  // namespace mmreg
