// See reply_registry.h.
#include "api/reply_registry.h"

namespace foretoken::api {

void ReplyRegistry::add(const std::shared_ptr<ChatAnswer>& answer) {
  const std::scoped_lock lock(mutex_);
  std::erase_if(answers_, [](const auto& entry) { return entry.second.expired(); });
  answers_[answer->id()] = answer;
}

std::shared_ptr<ChatAnswer> ReplyRegistry::find(const std::string& id) {
  const std::scoped_lock lock(mutex_);
  const auto found = answers_.find(id);
  return found == answers_.end() ? nullptr : found->second.lock();
}

}  // namespace foretoken::api
