// What a library of CUDA operations gives to who loads it: one C function, so that it can be found by name.
#pragma once
#include "ops/operations.h"

namespace mmreg {

struct DeviceFacts {
  char name[256];
  int capability;                     // 90 for 9.0
  int driver, runtime;                // CUDA versions as 13020 for 13.2; driver: the newest that it knows
  std::size_t free_bytes, all_bytes;  // of its memory, now
};

struct Device {
  std::size_t operations_bytes;                 // sizeof(Operations) as the library was compiled: must be the loader's
  const Operations* operations;                 // nullptr: not on this machine
  const char* reason;                           // why not, or nullptr
  Queue* (*open_on)(int device, void* stream);  // on a stream of the caller's, which may end first; nullptr: its own
  void* (*stream_of)(Queue&);
  std::size_t (*peak_bytes)(Queue&);  // the most that was in use at once
  std::size_t (*kept_bytes)(Queue&);  // for the next to allocate
  int (*device_of)(const void*);      // whose memory it is; -1: the host's
  DeviceFacts (*facts)(int device);
  void* (*allocate_pinned)(std::size_t bytes);  // host memory that is copied from and to without a stop in between
  void (*release_pinned)(void* memory);
  int (*make_current)(int device);                                      // to the calling thread; which one was before
  void (*copy)(Queue&, void* to, const void* from, std::size_t bytes);  // within the device
  void (*wait_for)(Queue&, void* stream);  // what follows on the queue waits for what is on that stream now
  // What is put on the queue's stream between the two is kept instead of done: as a graph, which is then done at once
  // as often as it is launched, on the memory that it was made with. Nothing in it may wait or copy from the host.
  void (*begin_graph)(Queue&);
  void* (*end_graph)(Queue&);
  void (*drop_graph)(Queue&);  // in place of end_graph, after an error
  void (*launch_graph)(Queue&, void* graph);
  void (*release_graph)(void* graph);
};

namespace MMREG_TARGET {

const char* why_no_device();
Queue* open_on(int device, void* stream);
void* stream_of(Queue&);
std::size_t peak_bytes(Queue&);
std::size_t kept_bytes(Queue&);
int device_of(const void*);
DeviceFacts facts(int device);
void* allocate_pinned(std::size_t bytes);
void release_pinned(void* memory);
int make_current(int device);
void copy(Queue&, void* to, const void* from, std::size_t bytes);
void wait_for(Queue&, void* stream);
void begin_graph(Queue&);
void* end_graph(Queue&);
void drop_graph(Queue&);
void launch_graph(Queue&, void* graph);
void release_graph(void* graph);

}  // namespace MMREG_TARGET
}  // namespace mmreg

extern "C" __attribute__((visibility("default"))) mmreg::Device mmreg_device();
