// The replies of one answer, as far as cancelling them goes.
#pragma once

#include <functional>
#include <mutex>
#include <vector>

namespace foretoken::api {

/// Thread safe. No lock is held while a reply is told.
class CancelGroup {
 public:
  using Cancel = std::function<void()>;

  /// Told at once when the group is cancelled already.
  void add(Cancel reply) {
    {
      const std::scoped_lock lock(mutex_);
      replies_.push_back(reply);
      if (!cancelled_) return;
    }
    reply();
  }

  void cancel() {
    std::vector<Cancel> replies;
    {
      const std::scoped_lock lock(mutex_);
      cancelled_ = true;
      replies = replies_;
    }
    for (const Cancel& reply : replies) reply();
  }

 private:
  std::mutex mutex_;
  std::vector<Cancel> replies_;
  bool cancelled_ = false;
};

}  // namespace foretoken::api
