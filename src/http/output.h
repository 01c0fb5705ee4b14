// Bytes on their way to a socket.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace foretoken::http {

/// A queue of bytes in two halves: what is being sent stays where it is, whatever is added
/// meanwhile. Small pieces are put together, big ones keep their own memory.
class Output {
 public:
  static constexpr std::size_t kMaxGather = 16;

  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }

  void append(std::string piece) {
    if (piece.empty()) return;
    size_ += piece.size();
    if (!added_.empty() && added_.back().size() + piece.size() <= kJoin) {
      added_.back() += piece;
    } else {
      added_.push_back(std::move(piece));
    }
  }

  struct Parts {
    std::array<std::string_view, kMaxGather> items;
    std::size_t n = 0;
  };
  /// What comes first. Valid until the next front() or consume(); append() leaves it alone.
  Parts front() {
    if (first_ == sending_.size()) {
      sending_ = std::exchange(added_, {});
      first_ = 0;
    }
    Parts out;
    std::size_t skip = offset_;
    for (std::size_t i = first_; i < sending_.size() && out.n < kMaxGather; ++i) {
      out.items[out.n++] = std::string_view(sending_[i]).substr(skip);
      skip = 0;
    }
    return out;
  }

  /// Requires n <= the size of the parts that front() gave.
  void consume(std::size_t n) {
    size_ -= n;
    offset_ += n;
    while (first_ < sending_.size() && offset_ >= sending_[first_].size()) {
      offset_ -= sending_[first_].size();
      sending_[first_++] = {};
    }
    if (size_ == 0) *this = {};
  }

 private:
  static constexpr std::size_t kJoin = 16 << 10;
  std::vector<std::string> sending_;
  std::vector<std::string> added_;
  std::size_t first_ = 0;   ///< segments of sending_ before it are sent
  std::size_t offset_ = 0;  ///< bytes of sending_[first_] that are sent
  std::size_t size_ = 0;    ///< of both halves
};

}  // namespace foretoken::http
