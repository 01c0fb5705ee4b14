// See submit.h.
#include "api/submit.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "api/errors.h"
#include "base/error.h"

namespace foretoken::api {

scheduler::Request make_request(const Context& context, const RequestFields& fields,
                                const std::vector<TokenId>& prompt, int choice) {
  const int n_prompt = static_cast<int>(prompt.size());
  const int n_ctx = context.service->slot_context();
  if (n_prompt == 0) throw RequestError("Field 'prompt': must not be empty");
  if (n_prompt >= n_ctx) throw ContextOverflow(n_prompt, n_ctx);

  scheduler::Request request;
  request.prompt = prompt;
  request.id_slot = choice == 0 ? fields.id_slot : -1;
  request.cache_prompt = fields.cache_prompt;
  request.sampling = fields.sampling;
  if (request.sampling.seed != sampling::kRandomSeed) {
    request.sampling.seed += static_cast<std::uint32_t>(choice);
    if (request.sampling.seed == sampling::kRandomSeed) request.sampling.seed = 0;
  }
  request.speculation = fields.speculation;
  request.max_tokens = fields.n_predict;
  request.max_predict_ms =
      fields.t_max_predict_ms > 0 ? static_cast<double>(fields.t_max_predict_ms) : 0.0;
  request.n_probs = fields.want_logprobs ? std::max(fields.n_probs, 1) : 0;
  request.post_sampling_probs = fields.post_sampling_probs;
  request.want_progress = fields.return_progress && fields.stream;
  return request;
}

void RequestHandle::submit(scheduler::Request request) {
  // The listener may already run, and cancel() may come, while submit() has not returned.
  const auto result = service_->submit(std::move(request));
  if (const auto* refusal = std::get_if<scheduler::Refusal>(&result)) {
    throw Unavailable(*refusal == scheduler::Refusal::QueueFull
                          ? "the server is busy: its queue is full, try again later"
                          : "the server is shutting down");
  }
  bool cancel_now = false;
  {
    const std::scoped_lock lock(mutex_);
    id_ = std::get<scheduler::RequestId>(result);
    submitted_ = true;
    cancel_now = cancelled_;
  }
  if (cancel_now) service_->cancel(id_);
}

void RequestHandle::cancel() {
  scheduler::RequestId id = 0;
  {
    const std::scoped_lock lock(mutex_);
    if (std::exchange(cancelled_, true) || !submitted_) return;
    id = id_;
  }
  service_->cancel(id);
}

bool RequestHandle::cancelled() const {
  const std::scoped_lock lock(mutex_);
  return cancelled_;
}

scheduler::RequestId RequestHandle::id() const {
  const std::scoped_lock lock(mutex_);
  return id_;
}

}  // namespace foretoken::api
