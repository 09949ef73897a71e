#include "capi/deployment/manifest.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "capi/deployment/lines.h"
#include "capi/deployment/sha2.h"
#include "capi/deployment/values.h"
#include "capi/guard.h"

namespace mmreg::capi {
namespace {

constexpr char kFormat[] = "mmreg-deployment/1";
constexpr double kMostNumber = 1e30, kLeastTime_ms = 1e-6, kMostTime_ms = 1e9;
constexpr std::int64_t kMostVoxels = std::int64_t(1) << 29, kMostFileBytes = 0x7fffffff;
constexpr int kMostMemory_mb = 1 << 20;
constexpr double kLeastVolume = 1e-3;  // of three axes, as a share of the box of their lengths

Extent shape(const Value& value) {
  const std::vector<Value> n = value.parts(3);
  Extent out{};
  int* const lengths[] = {&out.d, &out.h, &out.w};
  for (std::size_t a = 0; a < 3; ++a) *lengths[a] = int(n[a].whole(1, kMostVoxels));
  if (double(out.d) * out.h * out.w > double(kMostVoxels)) value.refuse("the shape of an image of up to 2^29 voxels");
  return out;
}

void numbers(const Value& value, std::size_t count, double* out) {
  for (const Value& one : value.parts(count)) *out++ = one.number(-kMostNumber, kMostNumber);
}

// The three columns must span a volume. `stride`: from a row to the next.
void check_axes(const double* matrix, int stride, const Value& value) {
  const auto m = [&](int row, int column) { return matrix[row * stride + column]; };
  double box = 1;
  for (int a = 0; a < 3; ++a) box *= std::sqrt(m(0, a) * m(0, a) + m(1, a) * m(1, a) + m(2, a) * m(2, a));
  const double volume = m(0, 0) * (m(1, 1) * m(2, 2) - m(1, 2) * m(2, 1)) -
                        m(0, 1) * (m(1, 0) * m(2, 2) - m(1, 2) * m(2, 0)) +
                        m(0, 2) * (m(1, 0) * m(2, 1) - m(1, 1) * m(2, 0));
  if (!(box > 0 && std::isfinite(box) && std::abs(volume) >= kLeastVolume * box))
    value.refuse("three axes that span a volume");
}

DeclaredFile declared(const Value& value) {
  const std::vector<Value> parts = value.parts(3);
  return {parts[0].word(), parts[1].whole(1, kMostFileBytes), parts[2].hex()};
}

using Read = void (*)(Manifest&, const Value&);
struct Key {
  const char* name;
  Read read;
};

constexpr Key kKeys[] = {
    {"format", [](Manifest&, const Value&) {}},
    {"name", [](Manifest& m, const Value& v) { m.name = v.word(); }},
    {"version", [](Manifest& m, const Value& v) { m.version = v.word(); }},
    {"bundle_sha256", [](Manifest& m, const Value& v) { m.bundle_sha256 = v.hex(); }},
    {"mmreg_version", [](Manifest& m, const Value& v) { m.mmreg_version = v.word(); }},
    {"engine",
     [](Manifest& m, const Value& v) { m.engine = EngineKind(v.choice({"openvino", "onnxruntime", "tensorrt"})); }},
    {"engine_version", [](Manifest& m, const Value& v) { m.engine_version = v.word(); }},
    {"cpu", [](Manifest& m, const Value& v) { m.cpu = v.word(); }},
    {"precision",
     [](Manifest& m, const Value& v) { m.precision = Precision(v.choice({"fp32", "bf16", "fp16", "int8"})); }},
    {"threads", [](Manifest& m, const Value& v) { m.threads = int(v.whole(1, 1024)); }},
    {"output",
     [](Manifest& m, const Value& v) {
       m.output = EngineOutput(v.choice({"displacement", "velocity", "descriptor", "rigid"}));
     }},
    {"stages", [](Manifest& m, const Value& v) { m.stages = int(v.whole(1, kMostStages)); }},
    {"dims", [](Manifest& m, const Value& v) { m.dims = int(v.whole(2, 3)); }},
    {"fixed_shape", [](Manifest& m, const Value& v) { m.fixed_shape = shape(v); }},
    {"fixed_linear",
     [](Manifest& m, const Value& v) {
       numbers(v, 9, m.fixed_linear);
       check_axes(m.fixed_linear, 3, v);
     }},
    {"largest_moving_shape", [](Manifest& m, const Value& v) { m.largest_moving_shape = shape(v); }},
    {"network_shape", [](Manifest& m, const Value& v) { m.network_shape = shape(v); }},
    {"network_to_fixed",
     [](Manifest& m, const Value& v) {
       numbers(v, 12, m.network_to_fixed.m);
       check_axes(m.network_to_fixed.m, 4, v);
     }},
    {"intensity",
     [](Manifest& m, const Value& v) {
       m.intensity.kind = Normalisation::Kind(v.choice({"percentile", "window", "minmax"}));
     }},
    {"intensity_low", [](Manifest& m, const Value& v) { m.intensity.low = v.number(-kMostNumber, kMostNumber); }},
    {"intensity_high", [](Manifest& m, const Value& v) { m.intensity.high = v.number(-kMostNumber, kMostNumber); }},
    {"factor", [](Manifest& m, const Value& v) { m.factor = int(v.whole(1, 2)); }},
    {"integration_steps", [](Manifest& m, const Value& v) { m.integration_steps = int(v.whole(0, 12)); }},
    {"planes", [](Manifest& m, const Value& v) { m.planes = int(v.whole(0, 4096)); }},
    {"refine", [](Manifest& m, const Value& v) { m.refine = v.whole(0, 1) == 1; }},
    {"golden_limit_mm", [](Manifest& m, const Value& v) { m.golden_limit_mm = v.number(1e-9, 1000); }},
    {"expected_ms",
     [](Manifest& m, const Value& v) {
       for (const Value& one : v.parts(1, kMostStages))
         m.expected_ms.push_back(one.number(kLeastTime_ms, kMostTime_ms));
     }},
    {"slack_ms", [](Manifest& m, const Value& v) { m.slack_ms = v.number(kLeastTime_ms, kMostTime_ms); }},
    {"memory_mb", [](Manifest& m, const Value& v) { m.memory_mb = int(v.whole(1, kMostMemory_mb)); }},
    {"file", [](Manifest& m, const Value& v) { m.files.push_back(declared(v)); }},
};

const Key* key_of(std::string_view name) {
  for (const Key& key : kKeys)
    if (name == key.name) return &key;
  return nullptr;
}

void check_format(const Lines& text) {
  for (const Line& line : text.lines) {
    if (line.key != "format") continue;
    if (line.value == kFormat) return;
    refuse("MMREG_E_DEPLOYMENT_FORMAT",
           "This libmmreg reads %s; the deployment has the format '%.*s'. Use the version that wrote it, or deploy the "
           "bundle again.",
           kFormat, int(std::min<std::size_t>(line.value.size(), 80)), line.value.data());
  }
}

void check_keys(const Lines& text) {
  std::set<std::string_view> seen;
  for (const Line& line : text.lines)
    if (!key_of(line.key))
      refuse("MMREG_E_DEPLOYMENT_KEY_UNKNOWN", "deployment.txt has the unknown key '%.*s'. Deploy the bundle again.",
             int(line.key.size()), line.key.data());
  for (const Line& line : text.lines)
    if (!seen.insert(line.key).second && line.key != "file")
      refuse("MMREG_E_DEPLOYMENT_KEY_TWICE", "deployment.txt has the key '%.*s' twice. Deploy the bundle again.",
             int(line.key.size()), line.key.data());
  for (const Key& key : kKeys)
    if (!seen.count(key.name))
      refuse("MMREG_E_DEPLOYMENT_KEY_MISSING", "deployment.txt lacks the key '%s'. Deploy the bundle again.", key.name);
}

[[noreturn]] void refuse_value(const char* what) {
  refuse("MMREG_E_DEPLOYMENT_VALUE", "In deployment.txt %s. Deploy the bundle again.", what);
}

void check_together(const Manifest& m) {
  const bool percentiles = m.intensity.kind == Normalisation::percentile;
  if (m.intensity.kind != Normalisation::minmax && !(m.intensity.low < m.intensity.high))
    refuse_value("intensity_low must be below intensity_high");
  if (percentiles && !(m.intensity.low >= 0 && m.intensity.high <= 100))
    refuse_value("percentiles must be from 0 to 100");
  if ((m.output == EngineOutput::velocity) != (m.integration_steps > 0))
    refuse_value("integration_steps must be above 0 for a velocity, and 0 for another output");
  if ((m.output == EngineOutput::descriptor) != (m.planes > 0))
    refuse_value("planes must be above 0 for a descriptor, and 0 for another output");
  if (m.is_rigid() && (m.dims != 3 || m.factor != 1)) refuse_value("dims must be 3 and factor 1 for a rigid output");
  if (!m.is_rigid() && m.stages != 1) refuse_value("stages must be 1 for another output than a rigid one");
  if (int(m.expected_ms.size()) != m.stages) refuse_value("expected_ms must have one number for each of the stages");
  if (m.dims == 2 && (m.fixed_shape.d != 1 || m.network_shape.d != 1 || m.largest_moving_shape.d != 1))
    refuse_value("shapes must be those of slices for dims = 2");
  if (m.engine == EngineKind::onnxruntime && m.precision == Precision::bf16)
    refuse_value("precision must not be bf16 for onnxruntime, which does not compute in it");
}

std::vector<const char*> endings_of(EngineKind engine) {
  if (engine == EngineKind::openvino) return {".xml", ".bin"};
  return {engine == EngineKind::tensorrt ? ".plan" : ".onnx"};
}

std::vector<std::string> files_of(const Manifest& m) {
  std::vector<std::string> names = {"golden_fixed.f32", "golden_output.f32"};
  if (m.output != EngineOutput::descriptor) names.push_back("golden_moving.f32");
  for (int stage = 0; stage < m.stages; ++stage)
    for (const char* ending : endings_of(m.engine)) names.push_back(network_file(stage, ending));
  return names;
}

void check_files(const Manifest& m) {
  const std::vector<std::string> names = files_of(m);
  std::set<std::string_view> seen;
  for (const DeclaredFile& file : m.files) {
    if (std::find(names.begin(), names.end(), file.name) == names.end())
      refuse("MMREG_E_DEPLOYMENT_VALUE",
             "deployment.txt declares '%.100s', which is no file of such a deployment. "
             "Deploy the bundle again.",
             file.name.c_str());
    if (!seen.insert(file.name).second)
      refuse("MMREG_E_DEPLOYMENT_KEY_TWICE", "deployment.txt declares '%.100s' twice. Deploy the bundle again.",
             file.name.c_str());
  }
  for (const std::string& name : names)
    if (!seen.count(name))
      refuse("MMREG_E_DEPLOYMENT_KEY_MISSING", "deployment.txt does not declare '%s'. Deploy the bundle again.",
             name.c_str());
  const std::int64_t image = 4 * voxels(m.network_shape), output = 4 * m.stages * m.outputs();
  for (const DeclaredFile& file : m.files)
    if (file.name.rfind("golden_", 0) == 0 && file.bytes != (file.name == "golden_output.f32" ? output : image))
      refuse("MMREG_E_DEPLOYMENT_VALUE",
             "deployment.txt declares %lld bytes for '%s', which does not fit "
             "network_shape. Deploy the bundle again.",
             static_cast<long long>(file.bytes), file.name.c_str());
}

void check_checksum(const Lines& text) {
  const std::string declared = Value("checksum", text.checksum).hex();
  if (declared != hex_of_sha256(text.covered))
    refuse("MMREG_E_DEPLOYMENT_FILE_HASH",
           "deployment.txt does not match its checksum: it is damaged or was edited. "
           "Copy it again, or deploy the bundle again.");
}

}  // namespace

std::string network_file(int stage, const char* ending) {
  return "network" + (stage ? std::to_string(stage + 1) : "") + ending;
}

Extent Manifest::output_extent() const {
  const auto along = [this](int length) { return length > 1 ? (length + factor - 1) / factor : 1; };
  return {along(network_shape.d), along(network_shape.h), along(network_shape.w)};
}

const DeclaredFile& Manifest::file(const char* name) const {
  return *std::find_if(files.begin(), files.end(), [&](const DeclaredFile& file) { return file.name == name; });
}

Manifest parse_manifest(std::string_view text) {
  const Lines parts = split_lines(text);
  check_format(parts);
  check_keys(parts);
  Manifest manifest;
  for (const Line& line : parts.lines) key_of(line.key)->read(manifest, Value(line.key, line.value));
  check_together(manifest);
  check_files(manifest);
  check_checksum(parts);
  return manifest;
}

}  // namespace mmreg::capi
