// Graphs of work recorded from a stream, and synchronisation between streams.
#if defined(__CUDACC__)  // the host build uses queue_on_host.cpp
#include "cuda/launch.h"
#include "ops/device.h"

namespace mmreg::MMREG_TARGET {
namespace {

class Event {
 public:
  Event() { check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "creating an event"); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  cudaEvent_t get() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

cudaGraph_t end_capture(cudaStream_t stream) {
  cudaGraph_t graph = nullptr;
  check(cudaStreamEndCapture(stream, &graph), "ending a capture");
  return graph;
}

}  // namespace

void copy(Queue& queue, void* to, const void* from, std::size_t bytes) {
  const Launch launch(queue);
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, launch.stream), "copying on the device");
}

void wait_for(Queue& queue, void* stream) {
  const Launch launch(queue);
  const Event done;  // may be destroyed before it completes
  check(cudaEventRecord(done.get(), static_cast<cudaStream_t>(stream)), "recording an event");
  check(cudaStreamWaitEvent(launch.stream, done.get(), 0), "waiting for the stream");
}

void begin_graph(Queue& queue) {  // relaxed mode permits allocations during the capture
  const Launch launch(queue);
  check(cudaStreamBeginCapture(launch.stream, cudaStreamCaptureModeRelaxed), "beginning a capture");
}

void* end_graph(Queue& queue) {
  const Launch launch(queue);
  const cudaGraph_t graph = end_capture(launch.stream);
  cudaGraphExec_t ready = nullptr;
  const cudaError_t error = cudaGraphInstantiate(&ready, graph, 0);
  cudaGraphDestroy(graph);
  check(error, "instantiating a graph");
  return ready;
}

void drop_graph(Queue& queue) {
  const Launch launch(queue);
  cudaGraph_t graph = nullptr;
  if (cudaStreamEndCapture(launch.stream, &graph) == cudaSuccess && graph) cudaGraphDestroy(graph);
  cudaGetLastError();  // clears the error that invalidated the capture
}

void launch_graph(Queue& queue, void* graph) {
  const Launch launch(queue);
  check(cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), launch.stream), "launching a graph");
}

void release_graph(void* graph) { cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph)); }

}  // namespace mmreg::MMREG_TARGET

#endif
