// Handing a request to the scheduler, and the handle that cancels it: cancel() may come from any
// thread, even before the scheduler has given the request its number.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "api/context.h"
#include "api/request_fields.h"
#include "scheduler/service.h"

namespace foretoken::api {

/// A request without constraint, client and listener. `choice` counts from 0: with a fixed seed
/// each has its own, and only the first insists on a slot. Throws ContextOverflow when the prompt
/// does not fit into a slot, RequestError when it is empty.
scheduler::Request make_request(const Context& context, const RequestFields& fields,
                                const std::vector<TokenId>& prompt, int choice);

/// Thread safe.
class RequestHandle {
 public:
  explicit RequestHandle(std::shared_ptr<scheduler::Service> service)
      : service_(std::move(service)) {}

  /// Once. Throws Unavailable when the scheduler does not take it, RequestError as submit() does.
  void submit(scheduler::Request request);
  void cancel();
  bool cancelled() const;
  scheduler::RequestId id() const;

 private:
  const std::shared_ptr<scheduler::Service> service_;
  mutable std::mutex mutex_;
  scheduler::RequestId id_ = 0;
  bool submitted_ = false;
  bool cancelled_ = false;
};

}  // namespace foretoken::api
