// The functions of mmreg.h that take a deployment.
#include <algorithm>
#include <memory>

#include "capi/deployment/deployment.h"
#include "capi/guard.h"

namespace capi = mmreg::capi;

namespace {

constexpr int kSelfTestRuns = 10;

}  // namespace

mmreg_status mmreg_deployment_load(mmreg_context* context, const char* path, const uint8_t* public_key,
                                   mmreg_deployment** deployment) {
  return capi::guard([&]() -> mmreg_status {
    capi::check_not_null(deployment, "deployment");
    *deployment = nullptr;
    capi::check_not_null(context, "context");
    capi::check_not_null(path, "path");
    *deployment = new mmreg_deployment(*context, path, public_key);
    return MMREG_OK;
  });
}

mmreg_status mmreg_deployment_self_test(mmreg_deployment* deployment, double* worst_mm, double* slowest_ms) {
  return capi::guard([&]() -> mmreg_status {
    capi::check_not_null(deployment, "deployment");
    const capi::GoldenTest test = deployment->self_test(kSelfTestRuns);
    if (worst_mm) *worst_mm = test.worst_mm;
    if (slowest_ms) *slowest_ms = 1e3 * test.slowest_s;
    return MMREG_OK;
  });
}

mmreg_status mmreg_deployment_describe(mmreg_deployment* deployment, char* text, size_t* bytes) {
  return capi::guard([&]() -> mmreg_status {
    capi::check_not_null(deployment, "deployment");
    capi::check_not_null(bytes, "bytes");
    const std::string description = deployment->description();
    const std::size_t room = *bytes, needed = description.size() + 1;
    *bytes = needed;
    if (!text) return MMREG_OK;
    if (room < needed) capi::refuse("MMREG_E_OUTPUT_SIZE", "text needs %zu bytes; it has %zu.", needed, room);
    std::copy_n(description.c_str(), needed, text);
    return MMREG_OK;
  });
}

mmreg_status mmreg_deployment_destroy(mmreg_deployment** deployment) {
  return capi::guard([&]() -> mmreg_status {
    if (!deployment || !*deployment) return MMREG_OK;
    if (const int sessions = (*deployment)->sessions)
      capi::refuse("MMREG_E_BUSY", "The deployment has %d sessions. Destroy them first.", sessions);
    delete *deployment;
    *deployment = nullptr;
    return MMREG_OK;
  });
}
