// Memory of a queue. A released block is kept for the next request that it fits, since the first touch of fresh memory
// costs more than most operations on it, and a device stops for every allocation. On the host, blocks in use and blocks
// kept together never exceed the largest use so far by more than a sixteenth.
#pragma once
#include <cstddef>
#include <mutex>
#include <vector>

namespace mmreg {

struct Heap {                            // where fresh memory comes from
  void* (*allocate)(std::size_t bytes);  // throws std::bad_alloc or a DeviceError
  void (*release)(void* memory);
  bool keeps_all = false;  // keeps every released block until trim()
};

class MemoryPool {
 public:
  explicit MemoryPool(Heap heap) : heap_(heap) {}
  MemoryPool(const MemoryPool&) = delete;
  MemoryPool& operator=(const MemoryPool&) = delete;
  ~MemoryPool() { clear(); }

  void* take(std::size_t bytes);
  void give_back(void* memory);
  void trim();   // frees what is kept
  void clear();  // frees all

  std::size_t used_bytes() const { return used_bytes_; }
  std::size_t kept_bytes() const { return kept_bytes_; }
  std::size_t most_used_bytes() const { return most_used_bytes_; }

 private:
  struct Block {
    void* memory;
    std::size_t bytes;
  };

  void* fresh(std::size_t bytes);  // frees kept blocks before it reports that memory ran out
  void shrink(std::size_t most_kept);

  std::mutex mutex_;  // memory may be given back by a thread other than the one that works on the queue
  Heap heap_;
  std::vector<Block> used_, kept_;  // kept_: the oldest first
  std::size_t used_bytes_ = 0, kept_bytes_ = 0, most_used_bytes_ = 0;
};

}  // namespace mmreg
