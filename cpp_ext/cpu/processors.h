// How many processors this process may keep busy.
#pragma once
#include <string>

namespace mmreg {

// Those it may run on, and no more than the time that its control groups grant (as of `docker run --cpus`): at least 1.
int usable_processors();

// Processors' worth of time that control groups grant, 0 where they set no limit. `membership` is a file such as
// /proc/self/cgroup, `root` the folder that /sys/fs/cgroup is; versions 1 and 2.
double processor_quota(const std::string& membership = "/proc/self/cgroup", const std::string& root = "/sys/fs/cgroup");

}  // namespace mmreg
