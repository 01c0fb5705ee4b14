// See dialect.h.
#include "api/dialect.h"

#include <utility>

#include "api/errors.h"
#include "api/handler.h"
#include "api/json_output.h"

namespace foretoken::api {
namespace {

/// Nobody reads JSON of a stranger's making here: the sentence was written by the engine.
Json error_of(const ChatFinish& finish, bool anthropic) {
  if (finish.reason == ChatFinish::Reason::Cancelled) {
    return error_json(Unavailable("the reply was cancelled: the server is stopping"), anthropic);
  }
  return error_json(broken_reply(finish.error, finish.bad_request), anthropic);
}

bool broke_off(const ChatFinish& finish) {
  return finish.reason == ChatFinish::Reason::Error ||
         finish.reason == ChatFinish::Reason::Cancelled;
}

}  // namespace

DialectListener::DialectListener(http::ExchangePtr exchange, std::unique_ptr<DialectWriter> writer,
                                 DialectOptions options)
    : exchange_(std::move(exchange)), writer_(std::move(writer)), options_(std::move(options)) {}

void DialectListener::attach(const std::shared_ptr<ChatRun>& run) {
  {
    // The run holds this listener, which holds the exchange: the circle that on_close closes is
    // opened again in detach().
    const std::lock_guard lock(mutex_);
    if (finished_) return;
  }
  exchange_->on_close([run] { run->cancel(); });
  const std::lock_guard lock(mutex_);
  if (finished_) exchange_->on_close([] {});
}

void DialectListener::detach() {
  const std::lock_guard lock(mutex_);
  finished_ = true;
  exchange_->on_close([] {});
}

void DialectListener::send(const DialectEvents& events) {
  std::string records;
  for (const DialectEvent& event : events) records += sse_record(event.data, event.name);
  if (!records.empty()) exchange_->write(std::move(records));
}

void DialectListener::on_start(int n_prompt, int n_cached) {
  started_ = true;
  if (!options_.stream) return;
  http::StreamOptions stream = event_stream(options_.ping_seconds);
  stream.ping = options_.ping;
  exchange_->begin_stream(std::move(stream));
  send(writer_->start(n_prompt, n_cached));
}

void DialectListener::on_progress(int processed, int total, int cached, double ms) {
  if (options_.stream) send(writer_->progress(processed, total, cached, ms));
}

void DialectListener::on_token(const std::vector<ChatDelta>& deltas, const TokenLogprob*,
                               const scheduler::Timings& timings) {
  if (options_.stream) send(writer_->token(deltas, timings));
}

void DialectListener::on_finish(const std::vector<ChatDelta>& deltas, const ChatFinish& finish) {
  detach();
  if (!options_.stream || !started_) {
    if (!broke_off(finish) && !options_.stream) {
      return exchange_->respond(json_response(writer_->whole(finish)));
    }
    const Json error = error_of(finish, options_.anthropic);
    return exchange_->respond(json_response(error, error["error"]["code"].get<int>()));
  }
  send(broke_off(finish) ? writer_->fail(error_of(finish, options_.anthropic))
                         : writer_->finish(deltas, finish));
  exchange_->end_stream();
}

void answer_in_dialect(const ContextPtr& context, const http::ExchangePtr& exchange,
                       const std::shared_ptr<const ChatRequest>& request,
                       std::unique_ptr<DialectWriter> writer, DialectOptions options) {
  const auto listener =
      std::make_shared<DialectListener>(exchange, std::move(writer), std::move(options));
  listener->attach(start_chat(context, request, 0, client_of(exchange->request()), listener));
}

std::string model_name(const Context& context) {
  return context.model.aliases.empty() ? std::string() : context.model.aliases.front();
}

Remark log_remark(const ContextPtr& context) {
  constexpr int kMost = 16;
  return [context, n = 0](const std::string& line) mutable {
    if (n >= kMost) return;
    context->remark(LogLevel::Warning, ++n < kMost ? line : "further remarks are left out");
  };
}

}  // namespace foretoken::api
