// What is asked of the inference worker and what it answers, in its own terms: tokens, sampling
// parameters, counts and times. Neither side knows HTTP or anybody's JSON.
//
// A request is answered through its listener, whose functions are called on the worker's thread
// between steps. They must be quick (a few microseconds per token) and must not block: a listener
// decodes text, looks for stop strings and hands records to the connection's queue.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/token.h"
#include "engine/generate.h"
#include "sampling/params.h"
#include "sampling/token_constraint.h"

namespace foretoken::scheduler {

using RequestId = std::uint64_t;

/// What a request cost so far. Milliseconds; names as on the wire (docs/http-api.md, "timings").
struct Timings {
  int cache_n = 0;   ///< prompt tokens taken from the prefix cache
  int prompt_n = 0;  ///< prompt tokens processed for this request
  double prompt_ms = 0.0;
  int predicted_n = 0;  ///< tokens generated; the first belongs to the prompt's time
  double predicted_ms = 0.0;
  int draft_n = 0;
  int draft_n_accepted = 0;
  int draft_rounds = 0;  ///< rounds in which something was drafted
  std::array<int, engine::kMaxDraftChain> drafted_at{};
  std::array<int, engine::kMaxDraftChain> accepted_at{};
  double draft_ms = 0.0;
  double verify_ms = 0.0;
  std::string draft_parked;  ///< why drafting pauses; empty while it does not
};

/// One alternative at a position.
struct TokenProbability {
  TokenId token = 0;
  float logprob = 0.0F;  ///< natural logarithm; the lowest float for probability 0
};

struct TokenEvent {
  TokenId token = 0;
  bool end_of_text = false;               ///< an end-of-generation token: not part of the text
  bool from_draft = false;                ///< proposed by the drafter and accepted
  float logprob = 0.0F;                   ///< of this token; meaningful when n_probs > 0
  std::span<const TokenProbability> top;  ///< n_probs most probable, when asked for
  const Timings* timings = nullptr;       ///< up to and including this token
};

enum class FinishReason {
  EndOfText,    ///< the model ended the text
  StopWord,     ///< the listener said stop
  Length,       ///< max_tokens
  ContextFull,  ///< the slot's context is full
  Cancelled,    ///< cancel(), or the server is stopping
  Error,        ///< see Finish::error
};

struct Finish {
  FinishReason reason = FinishReason::EndOfText;
  std::string error;         ///< one sentence, for Error
  bool bad_request = false;  ///< Error: what was asked for cannot be done by anybody (400, not 500)
  Timings timings;
  int slot = -1;   ///< -1: never started
  int n_past = 0;  ///< tokens in the slot afterwards
};

class RequestListener {
 public:
  virtual ~RequestListener() = default;
  /// A slot was assigned and processing of the prompt begins: from here on the answer's status is
  /// settled. n_cached tokens come from the prefix cache.
  virtual void on_start(int slot, int n_prompt, int n_cached) = 0;
  /// After each stretch of the prompt, if `want_progress`; the first call has processed == cached,
  /// the last processed == total.
  virtual void on_progress(int processed, int total, int cached, double ms) = 0;
  /// For every token in order; false ends the reply, this token being its last. Tokens behind it in
  /// the same round are neither counted nor kept.
  virtual bool on_token(const TokenEvent& event) = 0;
  /// Once, last; whatever happened. Nothing is called afterwards.
  virtual void on_finish(const Finish& finish) = 0;
};

struct Request {
  std::vector<TokenId> prompt;  ///< at least one token, shorter than the slot's context
  int id_slot = -1;             ///< -1: any
  bool cache_prompt = true;     ///< false: neither look up nor reuse
  sampling::SamplingParams sampling;
  engine::SpeculationOptions speculation;
  std::unique_ptr<sampling::TokenConstraint> constraint;  ///< may be null
  int max_tokens = -1;               ///< negative: no limit; 0: process the prompt only
  double max_predict_ms = 0.0;       ///< > 0: stop that long after the first token, at a line's end
  int n_probs = 0;                   ///< alternatives to report per token
  bool post_sampling_probs = false;  ///< report the law after the chain instead of the model's
  bool want_progress = false;
  std::string client;  ///< whose turn it is in the fair queue: an API key or an address
  /// Wait until that request has processed its prompt (or ended): its prefix will be in the cache.
  std::optional<RequestId> after;
  /// For people: what /slots shows as this request's parameters (JSON text, may be empty).
  std::string description;
  std::shared_ptr<RequestListener> listener;
};

}  // namespace foretoken::scheduler
