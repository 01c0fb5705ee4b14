// Chat answers in progress by their ids, for requests that act on one from outside.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "api/chat_answer.h"

namespace foretoken::api {

/// Thread safe. Forgets answers that are over.
class ReplyRegistry {
 public:
  void add(const std::shared_ptr<ChatAnswer>& answer);
  /// Null when there is no such answer any more.
  std::shared_ptr<ChatAnswer> find(const std::string& id);

 private:
  std::mutex mutex_;
  std::map<std::string, std::weak_ptr<ChatAnswer>> answers_;
};

}  // namespace foretoken::api
