// The manifest of a deployment and its files: what is read, and the code of each rule that is broken.
#include "capi/deployment/manifest.h"

#include <clocale>
#include <functional>
#include <random>
#include <string>

#include "capi/deployment/cpu_features.h"
#include "capi/deployment/folder.h"
#include "ops/coded_error.h"
#include "tests/check.h"
#include "tests/deployment_folder.h"

namespace mmreg::test {
namespace {

std::string code_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const CodedError& error) {
    return std::string(error.code).substr(std::string("MMREG_E_DEPLOYMENT_").size());
  }
  return "";
}

ManifestText complete() {
  ManifestText text;
  for (const auto& [name, content] : contents()) text.declare(name, content);
  return text;
}

std::string parsed(const std::string& text) {
  return code_of([&] { (void)capi::parse_manifest(text); });
}

std::string with(const std::string& key, const std::string& value) {
  ManifestText text = complete();
  text[key] = value;
  return parsed(text.text());
}

std::string loaded(const DeploymentFolder& folder, const std::uint8_t* key = nullptr) {
  return code_of([&] {
    const capi::Folder opened(folder.path.c_str());
    (void)opened.files(capi::parse_manifest(opened.manifest_text(key)));
  });
}

}  // namespace

TEST(manifest, a_complete_one_is_read) {
  ManifestText text = complete();
  text["network_to_fixed"] = "2 0 0 -0.5 0 2.5e+0 0 1e-3 0 0 -1 30";
  const capi::Manifest m = capi::parse_manifest(text.text());
  CHECK(m.name == "stand-in" && m.engine == capi::EngineKind::openvino && m.output == EngineOutput::displacement);
  CHECK(m.fixed_shape.h == 40 && m.largest_moving_shape.w == 64 && m.dims == 2 && m.fixed_linear[4] == 1.5);
  CHECK(m.network_to_fixed(0, 3) == -0.5 && m.network_to_fixed(1, 1) == 2.5 && m.network_to_fixed(1, 3) == 1e-3);
  CHECK(m.network_to_fixed(2, 2) == -1 && m.intensity.high == 99.5 && m.expected_ms == std::vector<double>{2} &&
        m.files.size() == 5);
}

TEST(manifest, each_rule_of_the_grammar_has_its_code) {
  const std::string text = complete().text();
  CHECK(parsed(text).empty());
  CHECK(parsed("") == "LINE");
  CHECK(parsed(text.substr(0, text.size() - 1)) == "LINE");  // cut
  CHECK(parsed(text.substr(0, text.rfind("checksum"))) == "LINE");
  CHECK(parsed("\n" + text) == "LINE");
  CHECK(parsed("# remark\n" + text) == "LINE");
  CHECK(parsed("name=x\n" + text) == "LINE");
  CHECK(parsed("Name = x\n" + text) == "LINE");
  CHECK(parsed("name = x \n" + text) == "LINE");
  CHECK(parsed("name = a  b\n" + text) == "LINE");
  CHECK(parsed("name =  a\n" + text) == "LINE");
  CHECK(parsed("name = \xc3\xa4\n" + text) == "LINE");
  CHECK(parsed(std::string("name = a\0b\n", 11) + text) == "LINE");
  CHECK(parsed("name = x\r\n" + text) == "LINE");
  CHECK(parsed("name = " + std::string(1100, 'x') + "\n" + text) == "LINE");
  CHECK(parsed(text + text) == "LINE");  // a checksum in the middle
  CHECK(parsed(std::string(70000, 'x')) == "TOO_LARGE");
  CHECK(parsed(std::string(201, '\n')) == "TOO_LARGE");
}

TEST(manifest, keys_are_known_and_there_once) {
  ManifestText text = complete();
  text["colour"] = "red";
  CHECK(parsed(text.text()) == "KEY_UNKNOWN");
  for (const auto& [key, value] : complete().lines) {
    ManifestText less = complete(), twice = complete();
    less.remove(key);
    CHECK(parsed(less.text()) == "KEY_MISSING");
    twice.lines.emplace_back(key, value);
    CHECK(parsed(twice.text()) == "KEY_TWICE");
  }
  CHECK(with("format", "mmreg-deployment/2") == "FORMAT");
}

TEST(manifest, values_outside_of_their_range_are_refused) {
  const std::pair<const char*, const char*> wrong[] = {
      {"name", "a b"},
      {"name", "a/b"},
      {"bundle_sha256", "abc"},
      {"engine", "tensorflow"},
      {"precision", "fp64"},
      {"threads", "0"},
      {"threads", "01"},
      {"threads", "+1"},
      {"threads", "99999999999999999999"},
      {"dims", "4"},
      {"output", "rigid"},
      {"fixed_shape", "1 40"},
      {"fixed_shape", "1 40 40 1"},
      {"fixed_shape", "1 0 40"},
      {"fixed_shape", "536870912 536870912 536870912"},
      {"fixed_linear", "1.5 0 0 0 1.5 0 0 0 0"},
      {"fixed_linear", "1 1 1 1 1 1 1 1 1"},
      {"network_shape", "2 40 40"},
      {"network_to_fixed", "1 0 0 0 0 1 0 0 0 0 1"},
      {"network_to_fixed", "1 0 0 nan 0 1 0 0 0 0 1 0"},
      {"network_to_fixed", "1 0 0 1e31 0 1 0 0 0 0 1 0"},
      {"intensity", "mean"},
      {"intensity_low", "99.6"},
      {"intensity_low", "-1"},
      {"intensity_high", "101"},
      {"intensity_high", "0x10"},
      {"intensity_high", "1."},
      {"intensity_high", ".5"},
      {"intensity_high", "1e"},
      {"intensity_high", "1,5"},
      {"intensity_high", "inf"},
      {"intensity_high", "1e400"},
      {"intensity_high", "50.000000000000000000000000000000000"},
      {"factor", "3"},
      {"integration_steps", "7"},
      {"planes", "12"},
      {"stages", "0"},
      {"stages", "2"},
      {"stages", "9"},
      {"refine", "2"},
      {"golden_limit_mm", "0"},
      {"expected_ms", "-1"},
      {"expected_ms", "1 2"},
      {"slack_ms", "0"},
      {"memory_mb", "0"},
      {"memory_mb", "1048577"},
      {"file", "network.xml 6"},
      {"file", "passwd 6 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
      {"file", "../network.xml 6 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
  };
  for (const auto& line : wrong) {
    DOCTEST_CAPTURE(line.second);
    DOCTEST_CHECK_EQ(with(line.first, line.second), "VALUE");
  }
  ManifestText text = complete();
  text["engine"] = "onnxruntime";
  CHECK(parsed(text.text()) == "VALUE");  // network.xml is no file of it
}

TEST(manifest, rigid_networks_have_files_and_times_of_their_own) {
  ManifestText text = complete();
  for (const char* key : {"fixed_shape", "network_shape", "largest_moving_shape"}) text[key] = "2 20 40";
  text["dims"] = "3";
  text["output"] = "rigid";
  text["stages"] = "2";
  text["expected_ms"] = "2 3.5";
  text.remove("file");
  for (const auto& [name, content] : contents())
    text.declare(name, name == "golden_output.f32" ? std::string(2 * 6 * 4, 'x') : content);
  CHECK(parsed(text.text()) == "KEY_MISSING");  // network2.xml
  text.declare("network2.xml", "<net/>");
  text.declare("network2.bin", "weights");
  const capi::Manifest m = capi::parse_manifest(text.text());
  CHECK(m.output == EngineOutput::rigid && m.stages == 2 && m.expected_ms[1] == 3.5 && m.files.size() == 7);
  ManifestText third = text;
  third.declare("network3.xml", "<net/>");
  CHECK(parsed(third.text()) == "VALUE");
  for (const auto& [key, value] : {std::pair("expected_ms", "2"),
                                   {"expected_ms", "1 2 3"},
                                   {"dims", "2"},
                                   {"stages", "1"},
                                   {"factor", "2"},
                                   {"planes", "6"},
                                   {"integration_steps", "3"}}) {
    ManifestText other = text;
    other[key] = value;
    CHECK(parsed(other.text()) == "VALUE");
  }
}

TEST(manifest, a_comma_as_decimal_separator_changes_nothing) {
  const char* const before = std::setlocale(LC_NUMERIC, nullptr);
  const std::string kept = before ? before : "C";
  if (!std::setlocale(LC_NUMERIC, "de_DE.UTF-8")) DOCTEST_MESSAGE("skipped: no German locale here");
  CHECK(capi::parse_manifest(complete().text()).intensity.low == 0.5);
  std::setlocale(LC_NUMERIC, kept.c_str());
}

TEST(manifest, its_checksum_finds_any_other_change) {
  std::string text = complete().text();
  text.replace(text.find("0.1.0"), 5, "0.1.1");
  CHECK(parsed(text) == "FILE_HASH");
}

TEST(manifest, mutations_are_refused_and_crash_nothing) {
  std::mt19937 random(7);
  const std::string text = complete().text();
  for (int k = 0; k < 5000; ++k) {
    std::string changed = text;
    for (unsigned n = 1 + random() % 4; n > 0 && !changed.empty(); --n) {
      const std::size_t at = random() % changed.size();
      const unsigned how = random() % 4;
      if (how == 0) changed[at] = char(random());
      if (how == 1) changed.erase(at, 1 + random() % 40);
      if (how == 2) changed.insert(at, changed.substr(random() % changed.size(), random() % 90));
      if (how == 3) changed.resize(at + 1);
    }
    if (changed != text) CHECK(!parsed(changed).empty());
  }
}

TEST(manifest, files_are_those_that_are_declared) {
  namespace fs = std::filesystem;
  const DeploymentFolder folder;
  CHECK(loaded(folder).empty());
  fs::remove(folder.path / "network.bin");
  CHECK(loaded(folder) == "FILE_MISSING");
  fs::create_symlink(folder.path / "network.xml", folder.path / "network.bin");
  CHECK(loaded(folder) == "FILE_LINK");
  fs::remove(folder.path / "network.bin");
  fs::create_directory(folder.path / "network.bin");
  CHECK(loaded(folder) == "FILE_LINK");
  fs::remove(folder.path / "network.bin");
  folder.write("network.bin", "weight");
  CHECK(loaded(folder) == "FILE_SIZE");
  folder.write("network.bin", "weightx");
  CHECK(loaded(folder) == "FILE_HASH");
  folder.save();
  folder.write("more", "");
  CHECK(loaded(folder) == "FILE_UNDECLARED");
  fs::remove(folder.path / "more");
  fs::create_directory(folder.path / "more");
  CHECK(loaded(folder) == "FILE_UNDECLARED");
  fs::remove(folder.path / "more");
  CHECK(loaded(folder).empty());
  fs::rename(folder.path / "deployment.txt", folder.path / "../mmreg_elsewhere.txt");
  CHECK(loaded(folder) == "MISSING");
  fs::create_symlink("../mmreg_elsewhere.txt", folder.path / "deployment.txt");
  CHECK(loaded(folder) == "FILE_LINK");
  fs::remove(folder.path / "../mmreg_elsewhere.txt");
  CHECK(code_of([] { capi::Folder("/no/such/folder"); }) == "MISSING");
}

TEST(manifest, a_signature_is_needed_where_a_key_is_given) {
  const std::uint8_t key[32] = {1};
  const DeploymentFolder folder;
  CHECK(loaded(folder, key) == "SIGNATURE_MISSING");
  folder.write("deployment.sig", std::string(64, 'x'));
  CHECK(loaded(folder, key) == "SIGNATURE");
  CHECK(loaded(folder).empty());  // without a key it is not used
  folder.write("deployment.sig", std::string(63, 'x'));
  CHECK(loaded(folder) == "SIGNATURE");
}

TEST(manifest, cpu_features_are_those_of_the_list) {
  CHECK(capi::cpu_word("x86_64", "flags\t\t: fpu avx2 avx avx512f amx_int8x") == "x86_64+avx2+avx512f");
  CHECK(capi::cpu_word("aarch64", "") == "aarch64");
}

}  // namespace mmreg::test
