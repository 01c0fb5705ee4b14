// File: plan hash (32 bytes), boot id (36 characters), then one u32 per finished tensor. A record
// that was being written when the process died is shorter and ignored.
#include "release/journal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <system_error>

#include "base/error.h"

namespace foretoken::release {
namespace {

constexpr std::size_t kBootIdBytes = 36;

// Changes with every start of the system; spaces where the system does not tell.
std::string boot_id() {
  std::ifstream in("/proc/sys/kernel/random/boot_id");
  std::string out(std::istreambuf_iterator<char>(in), {});
  out.resize(kBootIdBytes, ' ');
  return out;
}

std::string header_of(const Sha256& plan, const std::string& boot) {
  std::string out(plan.size(), '\0');
  std::memcpy(out.data(), plan.data(), plan.size());
  return out + boot;
}

std::string read_all(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

Journal::Journal(const std::string& path, const Sha256& plan, std::size_t n_tensors)
    : path_(path), done_(n_tensors) {
  const std::string boot = boot_id();
  const std::string header = header_of(plan, boot);
  const std::string old = read_all(path);
  const bool knows_boot = boot.find_first_not_of(' ') != std::string::npos;
  resumed_ = knows_boot && old.starts_with(header);
  fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | (resumed_ ? 0 : O_TRUNC),
               0666);
  if (fd_ < 0) {
    throw IoError(
        fmt::format("{}: cannot create: {}", path_, std::generic_category().message(errno)));
  }
  if (!resumed_) {
    append(header.data(), header.size());
    return;
  }
  const std::size_t n_records = (old.size() - header.size()) / sizeof(std::uint32_t);
  for (std::size_t i = 0; i < n_records; ++i) {
    std::uint32_t tensor = 0;
    std::memcpy(&tensor, old.data() + header.size() + i * sizeof(tensor), sizeof(tensor));
    if (tensor < n_tensors) done_[tensor] = true;
  }
  // Cut off half a record, so that those that follow stand where they are looked for.
  if (::ftruncate(fd_, static_cast<off_t>(header.size() + n_records * sizeof(std::uint32_t))) !=
      0) {
    throw IoError(
        fmt::format("{}: cannot write: {}", path_, std::generic_category().message(errno)));
  }
}

Journal::~Journal() {
  if (fd_ >= 0) ::close(fd_);
}

std::size_t Journal::n_done() const {
  return static_cast<std::size_t>(std::count(done_.begin(), done_.end(), true));
}

void Journal::mark_done(std::size_t tensor) {
  const auto record = static_cast<std::uint32_t>(tensor);
  append(&record, sizeof(record));
  done_[tensor] = true;
}

void Journal::append(const void* data, std::size_t size) {
  const ssize_t n = ::write(fd_, data, size);
  if (n != static_cast<ssize_t>(size)) {
    throw IoError(fmt::format("{}: cannot write: {}", path_,
                              std::generic_category().message(n < 0 ? errno : ENOSPC)));
  }
}

}  // namespace foretoken::release
