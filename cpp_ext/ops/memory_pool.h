// Memory of a queue. Released blocks are cached for reuse: the first touch of fresh memory costs more than most
// operations on it, and an allocation synchronises a device. On the host, used and cached blocks together never exceed
// the peak use so far by more than 1/16.
#pragma once
#include <cstddef>
#include <mutex>
#include <vector>

namespace mmreg {

struct Heap {                            // source of fresh memory
  void* (*allocate)(std::size_t bytes);  // throws std::bad_alloc or a CodedError
  void (*release)(void* memory);
  bool keeps_all = false;  // caches every released block until trim()
};

class MemoryPool {
 public:
  explicit MemoryPool(Heap heap) : heap_(heap) {}
  MemoryPool(const MemoryPool&) = delete;
  MemoryPool& operator=(const MemoryPool&) = delete;
  ~MemoryPool() { clear(); }

  void* take(std::size_t bytes);
  void give_back(void* memory);
  void keep_all() { heap_.keeps_all = true; }  // from now on
  void trim();                                 // frees the cached blocks
  void clear();                                // frees all blocks

  std::size_t used_bytes() const { return used_bytes_; }
  std::size_t kept_bytes() const { return kept_bytes_; }
  std::size_t most_used_bytes() const { return most_used_bytes_; }

 private:
  struct Block {
    void* memory;
    std::size_t bytes;
  };

  void* fresh(std::size_t bytes);  // frees cached blocks before it reports that memory is exhausted
  void shrink(std::size_t most_kept);

  std::mutex mutex_;  // blocks may be released by another thread than the one that uses the queue
  Heap heap_;
  std::vector<Block> used_, kept_;  // kept_: cached blocks, oldest first
  std::size_t used_bytes_ = 0, kept_bytes_ = 0, most_used_bytes_ = 0;
};

}  // namespace mmreg
