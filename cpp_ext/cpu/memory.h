// Memory and queues of all CPU tables, compiled once for the baseline.
#pragma once
#include <cstddef>

#include "ops/memory_pool.h"
#include "ops/operations.h"

namespace mmreg {

void* allocate_aligned(std::size_t bytes);  // 64-byte aligned; freed by std::free; throws std::bad_alloc
extern const Heap host_heap;
Queue* open_cpu_queue(int threads);

void* cpu_allocate(Queue&, std::size_t bytes);
void cpu_release(Queue&, void* memory);
void cpu_trim(Queue&);
void cpu_copy(Queue&, void* to, const void* from, std::size_t bytes);

}  // namespace mmreg
