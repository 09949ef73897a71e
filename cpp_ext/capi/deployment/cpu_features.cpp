#include "capi/deployment/cpu_features.h"

#include <sys/utsname.h>

#include <cstdio>

#include "capi/guard.h"

namespace mmreg::capi {
namespace {

constexpr const char* kFeatures[] = {"avx2",        "avx_vnni",    "avx512f",  "avx512_vnni",
                                     "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8"};

// Returns the first line of /proc/cpuinfo that begins with "flags".
std::string flags_of_this_cpu() {
  std::FILE* const file = std::fopen("/proc/cpuinfo", "re");
  if (!file) return "";
  std::string line;
  for (int c = std::fgetc(file); c != EOF; c = std::fgetc(file)) {
    if (c != '\n') {
      line += char(c);
      continue;
    }
    if (line.rfind("flags", 0) == 0) break;
    line.clear();
  }
  std::fclose(file);
  return line.rfind("flags", 0) == 0 ? line : "";
}

}  // namespace

std::string cpu_word(const std::string& machine, const std::string& flags) {
  std::string out = machine;
  const std::string words = " " + flags.substr(flags.find(':') + 1) + " ";
  for (const char* feature : kFeatures)
    if (words.find(" " + std::string(feature) + " ") != std::string::npos) out += "+" + std::string(feature);
  return out;
}

std::string this_cpu() {
  utsname machine{};
  return cpu_word(uname(&machine) == 0 ? machine.machine : "", flags_of_this_cpu());
}

void check_cpu(const std::string& word) {
  const std::string here = this_cpu();
  if (word == "any" || word == here) return;
  refuse("MMREG_E_DEPLOYMENT_CPU",
         "The deployment was made for the CPU %s, and this one is %s: its network would be computed otherwise. Deploy "
         "the bundle on such a machine, or with --cpu any.",
         word.c_str(), here.c_str());
}

}  // namespace mmreg::capi
