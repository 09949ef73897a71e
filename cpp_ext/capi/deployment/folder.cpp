#include "capi/deployment/folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "capi/deployment/ed25519.h"
#include "capi/deployment/sha2.h"
#include "capi/guard.h"

namespace mmreg::capi {
namespace {

constexpr char kText[] = "deployment.txt", kSignature[] = "deployment.sig";

// A plain file of the folder, open for reading.
class PlainFile {
 public:
  PlainFile(int folder, const char* name) {
    file_ = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (file_ < 0 && errno == ENOENT) return;
    struct stat facts{};
    if (file_ >= 0 && fstat(file_, &facts) == 0 && S_ISREG(facts.st_mode)) {
      bytes_ = facts.st_size;
      return;
    }
    const int reason = file_ < 0 ? errno : ELOOP;
    close();
    if (reason == EACCES || reason == EMFILE || reason == ENFILE)
      refuse("MMREG_E_DEPLOYMENT_FILE_MISSING", "'%s' of the deployment cannot be read (error %d of the system).", name,
             reason);
    refuse("MMREG_E_DEPLOYMENT_FILE_LINK",
           "'%s' of the deployment must be a plain file, not a link or a folder. Copy "
           "the deployment with its files.",
           name);
  }
  ~PlainFile() { close(); }
  PlainFile(const PlainFile&) = delete;
  PlainFile& operator=(const PlainFile&) = delete;

  bool exists() const { return file_ >= 0; }
  std::int64_t bytes() const { return bytes_; }

  // Returns at most `most` bytes of it.
  std::string content(std::int64_t most) const {
    std::string out(std::size_t(std::min(bytes_, most)), '\0');
    std::size_t filled = 0;
    while (filled < out.size()) {
      const ssize_t got = read(file_, out.data() + filled, out.size() - filled);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) break;
      filled += std::size_t(got);
    }
    out.resize(filled);
    return out;
  }

 private:
  void close() {
    if (file_ >= 0) ::close(file_);
    file_ = -1;
  }

  int file_ = -1;
  std::int64_t bytes_ = 0;
};

std::optional<std::string> signature(int folder) {
  const PlainFile file(folder, kSignature);
  if (!file.exists()) return {};
  std::string out = file.content(kSignatureBytes + 1);
  if (out.size() != kSignatureBytes)
    refuse("MMREG_E_DEPLOYMENT_SIGNATURE", "deployment.sig must have %zu bytes; it has %lld. Copy it again.",
           kSignatureBytes, static_cast<long long>(file.bytes()));
  return out;
}

const std::uint8_t* raw(const std::string& text) { return reinterpret_cast<const std::uint8_t*>(text.data()); }

std::string checked_content(int folder, const DeclaredFile& declared) {
  const char* const name = declared.name.c_str();
  const PlainFile file(folder, name);
  if (!file.exists())
    refuse("MMREG_E_DEPLOYMENT_FILE_MISSING", "'%s' of the deployment is missing. Copy the whole folder.", name);
  if (file.bytes() != declared.bytes)
    refuse("MMREG_E_DEPLOYMENT_FILE_SIZE",
           "'%s' of the deployment has %lld bytes, and deployment.txt declares %lld. "
           "Copy it again.",
           name, static_cast<long long>(file.bytes()), static_cast<long long>(declared.bytes));
  std::string out = file.content(declared.bytes);
  if (hex_of_sha256(out) != declared.sha256)
    refuse("MMREG_E_DEPLOYMENT_FILE_HASH",
           "'%s' of the deployment does not match its SHA-256: it is damaged or was "
           "changed. Copy it again, or deploy the bundle again.",
           name);
  return out;
}

}  // namespace

Folder::Folder(const char* path) : folder_(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  if (folder_ < 0)
    refuse("MMREG_E_DEPLOYMENT_MISSING",
           "There is no folder '%.300s' that can be read. Give the folder that `mmreg "
           "deploy` wrote.",
           path);
}

Folder::~Folder() { close(folder_); }

std::string Folder::manifest_text(const std::uint8_t* public_key) const {
  const PlainFile file(folder_, kText);
  if (!file.exists())
    refuse("MMREG_E_DEPLOYMENT_MISSING",
           "The folder has no deployment.txt. Give the folder that `mmreg deploy` wrote.");
  const std::optional<std::string> signed_by = signature(folder_);
  std::string text = file.content(kMostManifestBytes + 1);
  if (text.size() > kMostManifestBytes)
    refuse("MMREG_E_DEPLOYMENT_TOO_LARGE", "deployment.txt may have %zu bytes; it has %lld.", kMostManifestBytes,
           static_cast<long long>(file.bytes()));
  if (!public_key) return text;
  if (!signed_by)
    refuse("MMREG_E_DEPLOYMENT_SIGNATURE_MISSING",
           "The deployment has no deployment.sig, and a public key was given. "
           "Deploy the bundle with --sign.");
  if (!verify_ed25519(text, raw(*signed_by), public_key))
    refuse("MMREG_E_DEPLOYMENT_SIGNATURE",
           "deployment.txt was not signed with the private key of the given public key, "
           "or was changed since. Do not use it; ask for a new copy.");
  return text;
}

void Folder::check_entries(const Manifest& manifest) const {
  const int again = openat(folder_, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);  // which closedir closes
  DIR* const entries = again < 0 ? nullptr : fdopendir(again);
  if (!entries) {
    if (again >= 0) close(again);
    refuse("MMREG_E_DEPLOYMENT_MISSING", "The folder of the deployment cannot be listed.");
  }
  std::string odd;
  while (const dirent* const entry = readdir(entries)) {
    const std::string name = entry->d_name;
    const bool known = name == "." || name == ".." || name == kText || name == kSignature ||
                       std::any_of(manifest.files.begin(), manifest.files.end(),
                                   [&](const DeclaredFile& file) { return file.name == name; });
    if (!known && (odd.empty() || name < odd)) odd = name;
  }
  closedir(entries);
  if (!odd.empty())
    refuse("MMREG_E_DEPLOYMENT_FILE_UNDECLARED",
           "The folder of the deployment holds '%.200s', which deployment.txt does "
           "not declare. Remove it.",
           odd.c_str());
}

std::map<std::string, std::string> Folder::files(const Manifest& manifest) const {
  check_entries(manifest);
  std::map<std::string, std::string> out;
  for (const DeclaredFile& file : manifest.files) out[file.name] = checked_content(folder_, file);
  return out;
}

}  // namespace mmreg::capi
