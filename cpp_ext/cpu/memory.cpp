#include "cpu/memory.h"

#include <cstdlib>
#include <cstring>

namespace mmreg {

void* cpu_allocate(Queue&, std::size_t bytes) { return allocate_aligned(bytes); }
void cpu_release(Queue&, void* memory) { std::free(memory); }
void cpu_copy(Queue&, void* to, const void* from, std::size_t bytes) { std::memcpy(to, from, bytes); }

}  // namespace mmreg
