// What the two other chat dialects (OpenAI Responses, Anthropic messages) share: a writer that
// turns a reply's parts into the dialect's events, and the listener that sends those.
//
// A dialect is three things: a function from its request body to the OpenAI chat layout, a writer,
// and routes. The first two are pure, so the wire formats are tested without a server.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "api/chat_run.h"
#include "api/context.h"
#include "http/exchange.h"

namespace foretoken::api {

/// One record of an event stream: "event: NAME" and its data.
struct DialectEvent {
  std::string name;
  Json data;

  bool operator==(const DialectEvent&) const = default;
};
using DialectEvents = std::vector<DialectEvent>;

/// Writes one reply. Calls come in the order of ChatListener; not thread safe.
class DialectWriter {
 public:
  virtual ~DialectWriter() = default;

  // A streamed reply.
  virtual DialectEvents start(int n_prompt, int n_cached) = 0;
  virtual DialectEvents progress(int processed, int total, int cached, double ms) = 0;
  virtual DialectEvents token(const std::vector<ChatDelta>& deltas,
                              const scheduler::Timings& timings) = 0;
  virtual DialectEvents finish(const std::vector<ChatDelta>& deltas, const ChatFinish& finish) = 0;
  /// Instead of finish(): the reply broke off. `error` is a body of error_json().
  virtual DialectEvents fail(const Json& error) = 0;

  /// A reply that is not streamed; nothing else is called then.
  virtual Json whole(const ChatFinish& finish) = 0;
};

struct DialectOptions {
  bool stream = false;
  double ping_seconds = 30.0;
  std::string ping = ":\n\n";  ///< what is sent after that many seconds of silence
  bool anthropic = false;      ///< the shape of errors
};

/// A listener that answers `exchange` with what `writer` makes of the reply. An error before
/// on_start is an ordinary HTTP error, even of a streamed reply.
class DialectListener final : public ChatListener,
                              public std::enable_shared_from_this<DialectListener> {
 public:
  DialectListener(http::ExchangePtr exchange, std::unique_ptr<DialectWriter> writer,
                  DialectOptions options);

  /// Cancels `run` when the connection ends before the reply does. Call once, from any thread.
  void attach(const std::shared_ptr<ChatRun>& run);

  void on_start(int n_prompt, int n_cached) override;
  void on_progress(int processed, int total, int cached, double ms) override;
  void on_token(const std::vector<ChatDelta>& deltas, const TokenLogprob* logprob,
                const scheduler::Timings& timings) override;
  void on_finish(const std::vector<ChatDelta>& deltas, const ChatFinish& finish) override;

 private:
  void send(const DialectEvents& events);
  void detach();

  const http::ExchangePtr exchange_;
  const std::unique_ptr<DialectWriter> writer_;
  const DialectOptions options_;
  bool started_ = false;

  std::mutex mutex_;
  bool finished_ = false;  // guarded by mutex_
};

/// Starts the reply. Throws what start_chat throws.
void answer_in_dialect(const ContextPtr& context, const http::ExchangePtr& exchange,
                       const std::shared_ptr<const ChatRequest>& request,
                       std::unique_ptr<DialectWriter> writer, DialectOptions options);

/// The name by which answers call the model.
std::string model_name(const Context& context);

/// Where converters report what they leave out, e.g. tools of a kind that has no equivalent.
using Remark = std::function<void(const std::string&)>;
/// One for one request that writes warnings to the context's log, the first few of them.
Remark log_remark(const ContextPtr& context);

/// Makes the random part of an id; tests put a counter here.
using MakeId = std::function<std::string()>;

}  // namespace foretoken::api
