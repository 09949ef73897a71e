// What mmreg_deployment points to: a checked manifest and its networks, for any number of sessions.
#pragma once
#include <atomic>
#include <memory>
#include <string>

#include "capi/context.h"
#include "capi/deployment/golden.h"

struct mmreg_deployment {
  // Reads and checks the folder, loads the engine and tests the networks. `public_key` may be null.
  mmreg_deployment(mmreg_context&, const char* path, const std::uint8_t* public_key);
  ~mmreg_deployment();
  mmreg_deployment(const mmreg_deployment&) = delete;

  mmreg::capi::GoldenTest self_test(int runs) const;
  std::string description() const;
  std::unique_ptr<mmreg::capi::EngineThread> engine_thread(double hang_limit_s) const;
  const mmreg::capi::Manifest& manifest() const { return manifest_; }
  std::vector<double> expected_s() const;  // of each network for one pair

  mmreg_context& context;
  std::atomic<int> sessions{0};

 private:
  int threads() const;
  void check_room() const;

  std::string text_;
  mmreg::capi::Manifest manifest_;
  mmreg::capi::GoldenPair golden_;
  mmreg::capi::Networks networks_;
};
