// Deployments for tests: a manifest that can be changed, and a folder with what it declares.
#pragma once
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "capi/deployment/sha2.h"

namespace mmreg::test {

// A deployment of a displacement network on slices of 40 x 40 voxels.
struct ManifestText {
  std::vector<std::pair<std::string, std::string>> lines = {
      {"format", "mmreg-deployment/1"},
      {"name", "stand-in"},
      {"version", "1.0.0"},
      {"bundle_sha256", std::string(64, 'a')},
      {"mmreg_version", "0.1.0"},
      {"engine", "openvino"},
      {"engine_version", "1.2.3"},
      {"cpu", "any"},
      {"precision", "fp32"},
      {"threads", "2"},
      {"output", "displacement"},
      {"dims", "2"},
      {"fixed_shape", "1 40 40"},
      {"fixed_linear", "1.5 0 0 0 1.5 0 0 0 1.5"},
      {"largest_moving_shape", "1 64 64"},
      {"network_shape", "1 40 40"},
      {"network_to_fixed", "1 0 0 0 0 1 0 0 0 0 1 0"},
      {"intensity", "percentile"},
      {"intensity_low", "0.5"},
      {"intensity_high", "99.5"},
      {"factor", "1"},
      {"integration_steps", "0"},
      {"planes", "0"},
      {"stages", "1"},
      {"refine", "0"},
      {"golden_limit_mm", "0.01"},
      {"expected_ms", "2"},
      {"slack_ms", "1"},
      {"memory_mb", "3"},
  };

  std::string& operator[](const std::string& key) {
    for (auto& [name, value] : lines)
      if (name == key) return value;
    return lines.emplace_back(key, "").second;
  }
  void remove(const std::string& key) {
    for (std::size_t i = lines.size(); i-- > 0;)
      if (lines[i].first == key) lines.erase(lines.begin() + long(i));
  }
  void declare(const std::string& name, const std::string& content) {
    lines.emplace_back("file", name + " " + std::to_string(content.size()) + " " + capi::hex_of_sha256(content));
  }
  std::string text() const {
    std::string out;
    for (const auto& [key, value] : lines) out += key + " = " + value + "\n";
    return out + "checksum = " + capi::hex_of_sha256(out) + "\n";
  }
};

inline std::string as_bytes(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

// Contents of its files: golden images of zeros and ones, for which the stand-in engine gives 0 along h and `along_w`.
inline std::vector<std::pair<std::string, std::string>> contents(float along_w = 0.5f) {
  const std::size_t n = 40 * 40;
  std::vector<float> output(2 * n, along_w);
  std::fill_n(output.begin(), n, 0.f);
  return {{"network.xml", "<net/>"},
          {"network.bin", "weights"},
          {"golden_fixed.f32", as_bytes(std::vector<float>(n, 0))},
          {"golden_moving.f32", as_bytes(std::vector<float>(n, 1))},
          {"golden_output.f32", as_bytes(output)}};
}

// A folder that is removed with this object.
struct DeploymentFolder {
  enum Kind { openvino, tensorrt };

  explicit DeploymentFolder(float along_w = 0.5f, Kind kind = openvino) : files(contents(along_w)) {
    if (kind == tensorrt) {
      manifest["engine"] = "tensorrt";
      manifest["engine_version"] = "10.1.2";
      files.erase(files.begin(), files.begin() + 2);
      files.emplace_back("network.plan", "plan of 2 channels");
    }
    std::string name = (std::filesystem::temp_directory_path() / "mmreg_deployment_XXXXXX").string();
    path = mkdtemp(name.data());
    for (const auto& [name_of, content] : files) manifest.declare(name_of, content);
    save();
  }
  ~DeploymentFolder() { std::filesystem::remove_all(path); }
  DeploymentFolder(const DeploymentFolder&) = delete;

  void save() const {
    for (const auto& [name, content] : files) write(name, content);
    write("deployment.txt", manifest.text());
  }
  // Replaces a file, and declares it anew.
  void replace(const std::string& file, const std::string& content) {
    for (auto& [name, old] : files)
      if (name == file) old = content;
    manifest.remove("file");
    for (const auto& [name, each] : files) manifest.declare(name, each);
    save();
  }
  void write(const std::string& name, const std::string& content) const {
    std::ofstream(path / name, std::ios::binary) << content;
  }

  std::filesystem::path path;
  std::vector<std::pair<std::string, std::string>> files;
  ManifestText manifest;
};

}  // namespace mmreg::test
