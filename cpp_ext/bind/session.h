// A session as Python holds it: a fixed scan on a queue that is kept from one call to the next.
#pragma once
#include "bind/options.h"
#include "bind/result.h"
#include "pipeline/session.h"

namespace mmreg::bind {

class SessionArgument {
 public:
  // Runs on `device`, or on a queue of its own for a CPU target.
  SessionArgument(const ScanArgument& fixed, const std::string& target, int threads, DeviceQueue* device,
                  bool keeps_track = true);

  ResultView run(const ScanArgument& moving, const OptionsArgument&, bool track);
  void keep_memory();  // from now on, between calls
  void forget() { session_.forget(); }

 private:
  const ScanArgument fixed_;  // keeps its arrays alive
  DeviceQueue* const device_;
  const Place own_;
  const Context context_;
  const DeviceScan placed_;
  Session session_;
};

}  // namespace mmreg::bind
