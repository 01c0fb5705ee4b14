// One chat reply, whatever the dialect: from a chat request in the OpenAI layout to a stream of
// reasoning, text and tool calls. The dialects (chat completions, Responses, Anthropic messages)
// turn their request into that layout and write the events in their own words.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/context.h"
#include "chat/reply_parser.h"
#include "http/exchange.h"

namespace foretoken::api {

/// A chat request taken apart and checked: prompt, sampling, constraints.
struct ChatRequest;

/// Log-probability item of one token, as on the wire (docs/http-api.md, "Log-probabilities").
struct TokenLogprob {
  TokenId id = 0;
  std::string token;  ///< text
  std::string bytes;  ///< raw
  float logprob = 0.0F;
  struct Alternative {
    TokenId id = 0;
    std::string token;
    std::string bytes;
    float logprob = 0.0F;
  };
  std::vector<Alternative> top;
};

/// Part of a reply. Concatenated deltas of each kind equal the whole reply.
struct ChatDelta {
  enum class Kind { Reasoning, Content, CallBegin, CallArguments, CallEnd };
  Kind kind = Kind::Content;
  std::string text;  ///< CallBegin: the function's name
  /// Counts the calls that began, from 0. A call that breaks off gets no CallEnd and is not in the
  /// Reply; its raw text follows as Content.
  int call = -1;
  std::string call_id;  ///< CallBegin: the id made up for it
};

struct ChatUsage {
  int prompt_tokens = 0;
  int cached_tokens = 0;
  int completion_tokens = 0;
  int reasoning_tokens = 0;
  int accepted_prediction_tokens = 0;
  int rejected_prediction_tokens = 0;
};

struct ChatFinish {
  enum class Reason { Stop, ToolCalls, Length, Cancelled, Error };
  Reason reason = Reason::Stop;
  std::string stopping_word;  ///< the stop string that matched, or empty
  bool truncated = false;     ///< the context was full
  std::string error;          ///< Error: one sentence
  bool bad_request = false;   ///< Error: because of what was asked for
  ChatUsage usage;
  scheduler::Timings timings;
  chat::Reply reply;                  ///< the whole of it
  std::vector<std::string> call_ids;  ///< of reply.calls
  std::string text;                   ///< all that the model wrote, before it was taken apart
  int slot = -1;                      ///< -1: never started
  int n_past = 0;                     ///< tokens in the slot afterwards
};

/// What a dialect does with a reply. Called on the worker's thread, in order, must not block.
class ChatListener {
 public:
  virtual ~ChatListener() = default;
  virtual void on_start(int n_prompt, int n_cached) = 0;
  virtual void on_progress(int processed, int total, int cached, double ms) = 0;
  /// What one token made final: possibly several deltas, possibly none (text held back). Timings
  /// are those up to this token; the log-probability is set when it was asked for.
  virtual void on_token(const std::vector<ChatDelta>& deltas, const TokenLogprob* logprob,
                        const scheduler::Timings& timings) = 0;
  /// Deltas that were held back until the end, then how it ended. Last call.
  virtual void on_finish(const std::vector<ChatDelta>& deltas, const ChatFinish& finish) = 0;
};

/// Checks a request body in the OpenAI chat layout with all of this server's extensions
/// (api/chat_request.h has the parts). Throws RequestError ("Field 'x': reason"). A prompt may be
/// longer than a slot here, so that it can be counted.
std::shared_ptr<const ChatRequest> parse_chat_request(const Context& context, const Json& body);

/// Prompt tokens of a request, for count_tokens and input_tokens; takes no slot.
int count_prompt_tokens(const ChatRequest& request);
/// The rendered prompt text, for /apply-template.
std::string prompt_text(const ChatRequest& request);

/// A reply in progress. Thread safe.
class ChatRun {
 public:
  virtual ~ChatRun() = default;
  virtual void cancel() = 0;
  /// Ends thinking now; false when the reply is not thinking or was not started for it.
  virtual bool end_reasoning() = 0;
  virtual scheduler::RequestId id() const = 0;
};
/// Starts the reply. `choice`: which of n (seed + choice); `client`: see client_of in
/// api/handler.h. The listener may be called before this returns. Throws RequestError (grammar,
/// schema, sampling values), ContextOverflow when the prompt does not fit into a slot, Unavailable
/// when the queue is full (api/errors.h); the listener then hears nothing.
std::shared_ptr<ChatRun> start_chat(const ContextPtr& context,
                                    const std::shared_ptr<const ChatRequest>& request, int choice,
                                    const std::string& client,
                                    std::shared_ptr<ChatListener> listener,
                                    std::optional<scheduler::RequestId> after = {});

}  // namespace foretoken::api
