#include "capi/context.h"

#include <algorithm>
#include <memory>

#include "capi/guard.h"
#include "capi/heap.h"
#include "ops/open.h"

namespace capi = mmreg::capi;

namespace {

constexpr int kMostThreads = 1024;
std::atomic<int> contexts{0};

void check_target(const std::string& target) {
  const std::vector<std::string> names = mmreg::targets();
  if (target.empty() || std::find(names.begin(), names.end(), target) != names.end()) return;
  std::string known;
  for (const std::string& name : names) known += (known.empty() ? "" : ", ") + name;
  capi::refuse("MMREG_E_TARGET", "options->target must be null or a target of this CPU (%s); found '%.40s'.",
               known.c_str(), target.c_str());
}

}  // namespace

uint32_t mmreg_abi_version(void) { return MMREG_ABI_VERSION; }
const char* mmreg_version(void) { return MMREG_VERSION; }
const char* mmreg_last_error(void) { return capi::last_text(); }
const char* mmreg_last_code(void) { return capi::last_code(); }

const char* mmreg_status_text(mmreg_status status) {
  switch (status) {
#include "capi/status_texts.inc"
  }
  return "unknown status";
}

mmreg_status mmreg_context_create(const mmreg_context_options* options, mmreg_context** context) {
  return capi::guard([&]() -> mmreg_status {
    capi::check_not_null(context, "context");
    *context = nullptr;
    const mmreg_context_options given = options ? capi::copied(options, "options") : mmreg_context_options{};
    if (given.threads < 0 || given.threads > kMostThreads)
      capi::refuse("MMREG_E_THREADS", "options->threads must be 0 or a number up to %d; found %d.", kMostThreads,
                   given.threads);
    if (given.shares_cores != 0 && given.shares_cores != 1)
      capi::refuse("MMREG_E_ARGUMENT", "options->shares_cores must be 0 or 1; found %d.", given.shares_cores);
    auto made = std::make_unique<mmreg_context>();
    made->threads = given.threads;
    made->target = given.target ? given.target : "";
    made->memory_limit_bytes = given.memory_limit_bytes;
    made->shares_cores = given.shares_cores == 1;
    made->log = given.log;
    made->log_user = given.log_user;
    made->engine_path = given.engine_path ? given.engine_path : "";
    check_target(made->target);
    if (!made->engine_path.empty() && made->engine_path[0] != '/')
      capi::refuse("MMREG_E_ARGUMENT", "options->engine_path must be null or an absolute path; found '%.200s'.",
                   given.engine_path);
    *context = made.release();
    ++contexts;
    return MMREG_OK;
  });
}

mmreg_status mmreg_context_destroy(mmreg_context** context) {
  return capi::guard([&]() -> mmreg_status {
    if (!context || !*context) return MMREG_OK;
    if (const int sessions = (*context)->sessions)
      capi::refuse("MMREG_E_BUSY", "The context has %d sessions. Destroy them first.", sessions);
    if (const int deployments = (*context)->deployments)
      capi::refuse("MMREG_E_BUSY", "The context has %d deployments. Destroy them first.", deployments);
    delete *context;
    *context = nullptr;
    if (--contexts == 0) capi::release_kept_blocks();
    return MMREG_OK;
  });
}
