// Memory of an operation table that frees itself.
#pragma once
#include <cstddef>
#include <utility>
#include <vector>

#include "ops/operations.h"

namespace mmreg {

template <class T>
class TableMemory {
 public:
  TableMemory() = default;
  TableMemory(const Operations& operations, Queue& queue, std::size_t count)
      : operations_(&operations),
        queue_(&queue),
        count_(count),
        data_(static_cast<T*>(operations.allocate(queue, sizeof(T) * (count ? count : 1)))) {}
  TableMemory(TableMemory&& other) noexcept { swap(other); }
  TableMemory& operator=(TableMemory&& other) noexcept {
    swap(other);
    return *this;
  }
  ~TableMemory() {
    if (data_) operations_->release(*queue_, data_);
  }

  T* data() const { return data_; }
  std::size_t size() const { return count_; }
  void upload(const T* from) { operations_->upload(*queue_, data_, from, sizeof(T) * count_); }
  void download(T* to) const { operations_->download(*queue_, to, data_, sizeof(T) * count_); }

 private:
  void swap(TableMemory& other) {
    std::swap(operations_, other.operations_), std::swap(queue_, other.queue_);
    std::swap(count_, other.count_), std::swap(data_, other.data_);
  }

  const Operations* operations_ = nullptr;
  Queue* queue_ = nullptr;
  std::size_t count_ = 0;
  T* data_ = nullptr;
};

template <class T>
TableMemory<T> uploaded(const Operations& operations, Queue& queue, const std::vector<T>& values) {
  TableMemory<T> memory(operations, queue, values.size());
  memory.upload(values.data());
  return memory;
}

inline TableMemory<float> constant(const Operations& operations, Queue& queue, std::int64_t count, float value) {
  TableMemory<float> memory(operations, queue, std::size_t(count));
  operations.fill(queue, count, value, memory.data());
  return memory;
}

}  // namespace mmreg
