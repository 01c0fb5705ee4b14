#include "release/sha256.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <system_error>
#include <vector>

#include "base/descriptor.h"
#include "base/error.h"

namespace foretoken::release {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 20;

class Hasher {
 public:
  Hasher() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    if (!context_ || EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) != 1) fail();
  }
  void add(const void* data, std::size_t size) {
    if (EVP_DigestUpdate(context_.get(), data, size) != 1) fail();
  }
  Sha256 finish() {
    Sha256 out;
    if (EVP_DigestFinal_ex(context_.get(), reinterpret_cast<unsigned char*>(out.data()), nullptr) !=
        1) {
      fail();
    }
    return out;
  }

 private:
  [[noreturn]] static void fail() {
    throw IoError("the system's OpenSSL library offers no SHA-256 (is it restricted?)");
  }
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

}  // namespace

Sha256 sha256(std::span<const std::byte> bytes) {
  Hasher hasher;
  hasher.add(bytes.data(), bytes.size());
  return hasher.finish();
}

Sha256 sha256(std::string_view text) { return sha256(std::as_bytes(std::span(text))); }

Sha256 sha256_of_file(const std::string& path,
                      const std::function<bool(std::size_t done)>& progress) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const auto fail = [&](int error) -> IoError {
    return IoError(
        fmt::format("{}: cannot read: {}", path, std::generic_category().message(error)));
  };
  if (file.get() < 0) throw fail(errno);
  Hasher hasher;
  std::vector<std::byte> buffer(kBufferBytes);
  std::size_t done = 0;
  while (true) {
    const ssize_t n = ::read(file.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw fail(errno);
    if (n == 0) return hasher.finish();
    hasher.add(buffer.data(), static_cast<std::size_t>(n));
    done += static_cast<std::size_t>(n);
    if (progress && !progress(done)) throw Cancelled(fmt::format("{}: stopped", path));
  }
}

std::string to_hex(const Sha256& hash) {
  std::string out;
  for (const std::byte byte : hash) out += fmt::format("{:02x}", static_cast<unsigned>(byte));
  return out;
}

}  // namespace foretoken::release
