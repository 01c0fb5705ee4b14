#include "scheduler/fair_queue.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace foretoken::scheduler {

void FairQueue::push(Job job) {
  ++size_;
  auto client = std::find_if(clients_.begin(), clients_.end(),
                             [&](const Client& c) { return c.name == job.request.client; });
  if (client == clients_.end()) {
    clients_.push_back({job.request.client, {}});
    client = std::prev(clients_.end());
  }
  client->jobs.push_back(std::move(job));
}

// A client without jobs is forgotten.
Job FairQueue::extract(std::list<Client>::iterator client, std::deque<Job>::iterator job) {
  Job out = std::move(*job);
  client->jobs.erase(job);
  if (client->jobs.empty()) clients_.erase(client);
  --size_;
  return out;
}

std::optional<Job> FairQueue::take(const std::function<bool(const Job&)>& may_start) {
  for (auto client = clients_.begin(); client != clients_.end(); ++client) {
    const auto job = std::find_if(client->jobs.begin(), client->jobs.end(), may_start);
    if (job == client->jobs.end()) continue;
    clients_.splice(clients_.end(), clients_, client);
    return extract(client, job);
  }
  return std::nullopt;
}

std::optional<Job> FairQueue::remove(RequestId id) {
  for (auto client = clients_.begin(); client != clients_.end(); ++client) {
    const auto job = std::find_if(client->jobs.begin(), client->jobs.end(),
                                  [&](const Job& j) { return j.id == id; });
    if (job != client->jobs.end()) return extract(client, job);
  }
  return std::nullopt;
}

std::vector<Job> FairQueue::clear() {
  std::vector<Job> out;
  for (Client& client : clients_) {
    std::move(client.jobs.begin(), client.jobs.end(), std::back_inserter(out));
  }
  clients_.clear();
  size_ = 0;
  return out;
}

bool FairQueue::contains(RequestId id) const {
  return std::any_of(clients_.begin(), clients_.end(), [&](const Client& c) {
    return std::any_of(c.jobs.begin(), c.jobs.end(), [&](const Job& j) { return j.id == id; });
  });
}

}  // namespace foretoken::scheduler
