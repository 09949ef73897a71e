// The queue of the CUDA operations in a host build. Its memory is one region that only kernels and copies may access:
// host code that dereferences a device pointer ends the process, as with a device.
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cuda/launch.h"
#include "cuda/queue.h"
#include "ops/coded_error.h"
#include "ops/device.h"
#include "ops/target_operations.h"

namespace mmreg::MMREG_TARGET {
namespace {

constexpr std::size_t kRegionBytes = std::size_t(1) << 36, kPage = 4096;

// First-fit allocator over one reserved region.
class [[maybe_unused]] Region {
 public:
  Region() {
    void* const memory = mmap(nullptr, kRegionBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    base_ = static_cast<unsigned char*>(memory);
  }
  void* take(std::size_t bytes) {
    const std::lock_guard<std::mutex> hold(mutex_);
    bytes = (bytes + kPage - 1) / kPage * kPage + kPage;  // plus a page between blocks
    std::size_t at = 0;
    for (const auto& [start, size] : used_) {
      if (start - at >= bytes) break;
      at = start + size;
    }
    if (at + bytes > kRegionBytes)
      throw CodedError("MMREG_E_DEVICE_MEMORY", std::to_string(bytes >> 20) + " MB of device memory were requested");
    used_[at] = bytes;
    end_ = at + bytes > end_ ? at + bytes : end_;
    if (open_) mprotect(base_, end_, PROT_READ | PROT_WRITE);
    return base_ + at;
  }
  void give_back(void* memory) {
    const std::lock_guard<std::mutex> hold(mutex_);
    const auto block = used_.find(std::size_t(static_cast<unsigned char*>(memory) - base_));
    if (block == used_.end()) return;
    madvise(memory, block->second, MADV_DONTNEED);
    used_.erase(block);
  }
  bool holds(const void* memory) const {
    const auto at = static_cast<const unsigned char*>(memory);
    return at >= base_ && at < base_ + kRegionBytes;
  }
  void access(int change) {
    const std::lock_guard<std::mutex> hold(mutex_);
    const int before = open_;
    open_ += change;
    if (end_ && (before == 0 || open_ == 0)) mprotect(base_, end_, open_ ? PROT_READ | PROT_WRITE : PROT_NONE);
  }

 private:
  std::mutex mutex_;
  std::map<std::size_t, std::size_t> used_;
  unsigned char* base_ = nullptr;
  std::size_t end_ = 0;
  int open_ = 0;
};

#if defined(__SANITIZE_ADDRESS__)  // separate blocks, so that the sanitizer checks their bounds
struct Plain {
  void* take(std::size_t bytes) { return ::operator new(bytes); }
  void give_back(void* memory) { ::operator delete(memory); }
  bool holds(const void*) const { return true; }
  void access(int) {}
};
using Memory = Plain;
#else
using Memory = Region;
#endif

Memory& region() {
  static Memory* const one = new Memory;  // outlives every queue
  return *one;
}

// Makes the table's memory accessible while kernels run, and only then.
struct DeviceAccess {
  DeviceAccess() { region().access(1); }
  ~DeviceAccess() { region().access(-1); }
};

using Graph = std::vector<std::function<void()>>;

class Stream {
 public:
  Stream() {
    const std::lock_guard<std::mutex> hold(mutex());
    living().insert(this);
  }
  ~Stream() {
    const std::lock_guard<std::mutex> hold(mutex());
    living().erase(this);
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Ends the process if the stream has been destroyed; a device would lose its work.
  void require() {
    const std::lock_guard<std::mutex> hold(mutex());
    if (!living().count(this)) std::abort();
  }

  std::unique_ptr<Graph> graph;  // the graph being recorded, or null

 private:
  static std::mutex& mutex() {
    static auto* const one = new std::mutex;
    return *one;
  }
  static std::set<Stream*>& living() {
    static auto* const all = new std::set<Stream*>;
    return *all;
  }
};

// Returns the stream of a handle; 1 and 2 are the default streams of CUDA.
Stream* stream_by(void* handle) {
  static auto* const everyones = new Stream;
  return std::uintptr_t(handle) <= 2 ? everyones : static_cast<Stream*>(handle);
}

struct HostQueue : Queue {
  explicit HostQueue(void* handle)
      : own(handle ? nullptr : new Stream), stream(handle ? stream_by(handle) : own.get()) {}

  const std::unique_ptr<Stream> own;
  Stream* const stream;
  bool in_graph = false;  // a graph has recorded addresses of the pool
  MemoryPool pool{
      {[](std::size_t bytes) { return region().take(bytes); }, [](void* memory) { region().give_back(memory); }, true}};
};

Stream& stream(Queue& queue) {
  Stream* const stream = static_cast<HostQueue&>(queue).stream;
  stream->require();
  return *stream;
}

void refuse_in_graph(Queue& queue, const char* what) {
  if (stream(queue).graph) throw CodedError("MMREG_E_DEVICE_GRAPH", std::string(what) + " cannot be part of a graph");
}

}  // namespace

void perform(Queue& queue, std::function<void()> work) {
  if (stream(queue).graph) return stream(queue).graph->push_back(std::move(work));
  const DeviceAccess access;
  work();
}

Queue* open(int) { return new HostQueue(nullptr); }
Queue* open_on(int, void* stream) { return new HostQueue(stream); }

void* take(Queue& queue, std::size_t bytes) {
  if (stream(queue).graph) static_cast<HostQueue&>(queue).in_graph = true;
  void* const memory = static_cast<HostQueue&>(queue).pool.take(bytes);
  if (is_scrambled()) {  // also memory of a graph, which is written before it is read
    const DeviceAccess access;
    std::memset(memory, 0xff, bytes);
  }
  return memory;
}

void give_back(Queue& queue, void* memory) { static_cast<HostQueue&>(queue).pool.give_back(memory); }
int device_of(const void* memory) { return region().holds(memory) ? 0 : -1; }
std::size_t kept_bytes(Queue& queue) { return static_cast<HostQueue&>(queue).pool.kept_bytes(); }
std::size_t peak_bytes(Queue& queue) { return static_cast<HostQueue&>(queue).pool.most_used_bytes(); }
void* allocate(Queue& queue, std::size_t bytes) { return take(queue, bytes); }
void release(Queue& queue, void* memory) { give_back(queue, memory); }
void trim(Queue& queue) {
  refuse_in_graph(queue, "a change of memory");
  if (!static_cast<HostQueue&>(queue).in_graph) static_cast<HostQueue&>(queue).pool.trim();
}

void upload(Queue& queue, void* to, const void* from, std::size_t bytes) {
  refuse_in_graph(queue, "a copy from the host");
  const DeviceAccess access;
  std::memcpy(to, from, bytes);
}

void download(Queue& queue, void* to, const void* from, std::size_t bytes) {
  refuse_in_graph(queue, "a copy to the host");
  const DeviceAccess access;
  std::memcpy(to, from, bytes);
}

void copy(Queue& queue, void* to, const void* from, std::size_t bytes) {
  perform(queue, [=] { std::memcpy(to, from, bytes); });
}

void* stream_of(Queue& queue) { return &stream(queue); }
void wait_for(Queue&, void* handle) { stream_by(handle)->require(); }

void begin_graph(Queue& queue) {
  refuse_in_graph(queue, "a graph");
  stream(queue).graph = std::make_unique<Graph>();
}
void* end_graph(Queue& queue) { return stream(queue).graph.release(); }
void drop_graph(Queue& queue) { stream(queue).graph.reset(); }
void launch_graph(Queue& queue, void* graph) {
  refuse_in_graph(queue, "another graph");
  const DeviceAccess access;
  for (const auto& work : *static_cast<Graph*>(graph)) work();
}
void release_graph(void* graph) { delete static_cast<Graph*>(graph); }

DeviceFacts facts(int) { return {"the host, in place of a CUDA device", 0, 0, 0, kRegionBytes, kRegionBytes}; }
void* allocate_pinned(std::size_t bytes) { return ::operator new(bytes ? bytes : 1); }
int make_current(int) { return 0; }
void release_pinned(void* memory) { ::operator delete(memory); }

const char* why_no_device() { return nullptr; }

}  // namespace mmreg::MMREG_TARGET
