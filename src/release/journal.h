// What an interrupted release has done already: a small file beside the unfinished outputs that
// lists the tensors whose bytes are in all of them.
//
// It is trusted only for the plan it was begun with (a hash of sources, options and layouts) and
// only within one run of the system: what a killed process wrote is safe in the page cache, but
// after a power cut nobody knows which of the data reached the disk.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "release/sha256.h"

namespace foretoken::release {

class Journal {
 public:
  /// Goes on with the journal at `path` when it belongs to `plan` and to this run of the system;
  /// otherwise starts an empty one there. Throws IoError.
  Journal(const std::string& path, const Sha256& plan, std::size_t n_tensors);
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;
  ~Journal();

  /// Whether an earlier process left work that counts.
  bool resumed() const { return resumed_; }
  bool is_done(std::size_t tensor) const { return done_[tensor]; }
  std::size_t n_done() const;
  /// Notes that a tensor's bytes are in every output. Throws IoError.
  void mark_done(std::size_t tensor);

 private:
  void append(const void* data, std::size_t size);

  std::string path_;
  std::vector<bool> done_;
  bool resumed_ = false;
  int fd_ = -1;
};

}  // namespace foretoken::release
