// An open file descriptor that closes itself.
#pragma once

#include <unistd.h>

namespace foretoken {

/// Owner of a descriptor, or of a failed open's -1. The opener looks at get() and at errno.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  /// Negative when the open failed.
  int get() const { return fd_; }

 private:
  int fd_;
};

}  // namespace foretoken
