// The table of a CPU target. All targets share memory and queues.
#include "cpu/memory.h"
#include "ops/target_operations.h"

namespace mmreg::MMREG_TARGET {

constexpr bool on_device = false;
Queue* open(int threads) { return open_cpu_queue(threads); }
void* allocate(Queue& queue, std::size_t bytes) { return cpu_allocate(queue, bytes); }
void release(Queue& queue, void* memory) { cpu_release(queue, memory); }
void trim(Queue& queue) { cpu_trim(queue); }
void upload(Queue& queue, void* to, const void* from, std::size_t bytes) { cpu_copy(queue, to, from, bytes); }
void download(Queue& queue, void* to, const void* from, std::size_t bytes) { cpu_copy(queue, to, from, bytes); }

}  // namespace mmreg::MMREG_TARGET

#include "ops/target_table.h"
