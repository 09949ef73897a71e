// What mmreg_context points to: the settings of the host for its sessions.
#pragma once
#include <atomic>
#include <string>

#include "mmreg.h"

struct mmreg_context {
  int threads = 0;
  std::string target, engine_path;
  std::uint64_t memory_limit_bytes = 0;
  bool shares_cores = false;
  mmreg_log log = nullptr;
  void* log_user = nullptr;
  std::atomic<int> sessions{0}, deployments{0};

  void report(std::int32_t level, const char* code, const char* text) const {
    if (log) log(log_user, level, code, text);
  }
};
