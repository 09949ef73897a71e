// The interface of a library of CUDA operations: one C function, so that it can be found by name.
#pragma once
#include "ops/operations.h"

namespace mmreg {

struct DeviceFacts {
  char name[256];
  int capability;                     // 90 for 9.0
  int driver, runtime;                // CUDA versions, 13020 for 13.2; driver: the newest it supports
  std::size_t free_bytes, all_bytes;  // of its memory, now
};

struct Device {
  std::size_t operations_bytes;  // sizeof(Operations) of the library, which must equal the loader's
  const Operations* operations;  // nullptr: not usable on this machine
  const char* reason;            // why not, or nullptr
  Queue* (*open_on)(int device,
                    void* stream);  // on a stream of the caller, which may be destroyed first; nullptr: its own
  void* (*stream_of)(Queue&);
  std::size_t (*peak_bytes)(Queue&);  // largest number of bytes in use at one time
  std::size_t (*kept_bytes)(Queue&);  // released, kept for later allocations
  int (*device_of)(const void*);      // device that owns the memory; -1: the host
  DeviceFacts (*facts)(int device);
  void* (*allocate_pinned)(std::size_t bytes);  // page-locked host memory
  void (*release_pinned)(void* memory);
  int (*make_current)(int device);  // for the calling thread; returns the previous device
  void (*copy)(Queue&, void* to, const void* from, std::size_t bytes);  // within the device
  void (*wait_for)(Queue&, void* stream);  // later work of the queue waits for the work now on that stream
  // Work put on the queue's stream between the two is recorded as a graph instead of run. Each launch runs all of it,
  // on the memory it was recorded with. Nothing in it may wait or copy from the host.
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
