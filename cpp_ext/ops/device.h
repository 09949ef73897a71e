// Interface of a library of CUDA operations. Its only exported symbol is a C function, which dlsym finds by name.
#pragma once
#include "ops/operations.h"

namespace mmreg {

struct DeviceFacts {
  char name[256];
  int capability;                     // 90 for 9.0
  int driver, runtime;                // CUDA versions, 13020 for 13.2; driver: the newest version it supports
  std::size_t free_bytes, all_bytes;  // device memory that is free now, and in total
};

struct Device {
  std::size_t operations_bytes;  // sizeof(Operations) in the library; must equal that of the loader
  const Operations* operations;  // nullptr if the device cannot be used on this machine
  const char* reason;            // why it cannot be used, or nullptr
  // Opens a queue on the caller's stream, which may be destroyed before the queue; nullptr creates a stream.
  Queue* (*open_on)(int device, void* stream);
  void* (*stream_of)(Queue&);
  std::size_t (*peak_bytes)(Queue&);  // largest number of bytes in use at one time
  std::size_t (*kept_bytes)(Queue&);  // released bytes that are cached for later allocations
  int (*device_of)(const void*);      // number of the device that owns the memory; -1 for the host
  DeviceFacts (*facts)(int device);
  void* (*allocate_pinned)(std::size_t bytes);  // page-locked host memory
  void (*release_pinned)(void* memory);
  int (*make_current)(int device);  // sets the device of the calling thread; returns the previous one
  void (*copy)(Queue&, void* to, const void* from, std::size_t bytes);  // within device memory
  void (*wait_for)(Queue&, void* stream);  // later work of the queue waits for the present work of that stream
  // Work submitted between begin_graph and end_graph is recorded instead of run. Each launch runs all of it on the
  // recorded addresses. Recorded work must not synchronise or copy from the host.
  void (*begin_graph)(Queue&);
  void* (*end_graph)(Queue&);
  void (*drop_graph)(Queue&);  // replaces end_graph after an error
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
