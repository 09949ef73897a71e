// The CUDA table and the exported function that returns it.
#include "ops/device.h"
#include "ops/target_operations.h"

namespace mmreg::MMREG_TARGET {

constexpr bool on_device = true;

}  // namespace mmreg::MMREG_TARGET

#include "ops/target_table.h"

mmreg::Device mmreg_device() {
  using namespace mmreg::MMREG_TARGET;
  const char* const reason = why_no_device();
  return {sizeof(mmreg::Operations),
          reason ? nullptr : &operations,
          reason,
          open_on,
          stream_of,
          peak_bytes,
          kept_bytes,
          device_of,
          facts,
          allocate_pinned,
          release_pinned,
          make_current,
          copy,
          wait_for,
          begin_graph,
          end_graph,
          drop_graph,
          launch_graph,
          release_graph};
}
