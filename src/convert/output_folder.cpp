// POSIX rename(2): a folder takes the place of an empty one in one step. The unfinished folder is
// locked with flock(2), which ends with its owner, however that ends.
#include "convert/output_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "base/error.h"

namespace foretoken::convert {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void throw_io(const std::string& path, const char* action, const std::string& reason) {
  throw IoError(fmt::format("{}: cannot {}: {}", path, action, reason));
}

std::string reason_of(int error) { return std::generic_category().message(error); }

/// "a/b" for "a/b/" as well.
fs::path without_slash(const std::string& path) {
  const fs::path given(path);
  return given.has_filename() ? given : given.parent_path();
}

void sync_folder(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;  // may be written but not read: what was renamed is there all the same
  ::fsync(fd);
  ::close(fd);
}

}  // namespace

void require_free_folder(const std::string& path) {
  std::error_code error;
  if (!fs::exists(fs::symlink_status(path, error))) return;
  if (fs::is_directory(path, error) && fs::is_empty(path, error) && !error) return;
  throw RequestError(
      fmt::format("{}: is there already; give a folder that is not, or remove it", path));
}

OutputFolder::OutputFolder(const std::string& path) : path_(without_slash(path).string()) {
  require_free_folder(path_);
  const fs::path place = fs::absolute(path_);
  const fs::path hidden =
      place.parent_path() / fmt::format(".{}.foretoken-part", place.filename().string());
  unfinished_ = hidden.string();
  std::error_code error;
  fs::create_directories(place.parent_path(), error);
  if (!fs::create_directory(hidden, error) && error) {
    throw_io(unfinished_, "create", error.message());
  }
  lock_ = ::open(unfinished_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (lock_ < 0) throw_io(unfinished_, "open", reason_of(errno));
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    ::close(lock_);
    throw RequestError(fmt::format("{}: another program is making this folder just now", path_));
  }
  // Leftovers of a program that was killed: nobody holds the lock.
  for (fs::directory_iterator entry(hidden, error), end; entry != end && !error;
       entry.increment(error)) {
    std::error_code removal;
    fs::remove_all(entry->path(), removal);
    if (removal) {
      ::close(lock_);
      throw_io(entry->path().string(), "remove", removal.message());
    }
  }
}

OutputFolder::~OutputFolder() {
  if (lock_ < 0) return;
  std::error_code error;
  fs::remove_all(unfinished_, error);
  ::close(lock_);
}

std::string OutputFolder::path_of(const std::string& name) const {
  const fs::path path = fs::path(unfinished_) / name;
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  if (error) throw_io(path.parent_path().string(), "create", error.message());
  return path.string();
}

void OutputFolder::commit() {
  sync_folder(unfinished_);
  require_free_folder(path_);
  if (::rename(unfinished_.c_str(), path_.c_str()) != 0) {
    throw_io(path_, "put the finished folder in place", reason_of(errno));
  }
  sync_folder(fs::absolute(path_).parent_path().string());
  ::close(lock_);
  lock_ = -1;
}

}  // namespace foretoken::convert
