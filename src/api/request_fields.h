// The fields that every inference endpoint shares: read, typed, defaulted, checked.
//
// A null means absent. A scalar of the wrong type counts as absent too, with a remark in the log,
// as clients have come to rely on; a value out of range is an error "Field 'x': reason".
// Source: docs/http-api.md, "Shared request fields"; names and bounds as in llama.cpp's server.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/context.h"
#include "engine/generate.h"
#include "sampling/params.h"

namespace foretoken::api {

/// Most alternatives per token that a request may ask for.
inline constexpr int kMaxProbabilities = 1000;

struct RequestFields {
  // How to answer.
  bool stream = false;
  bool include_usage = false;
  bool timings_per_token = false;
  bool return_progress = false;
  bool return_tokens = false;
  bool verbose = false;
  bool stream_coalesce = false;  ///< one record per verification round is enough
  std::vector<std::string> response_fields;
  double sse_ping_seconds = 30.0;

  // How much, where, and how often.
  int n_predict = -1;
  int n_choices = 1;
  int id_slot = -1;
  bool cache_prompt = true;
  int n_indent = 0;
  std::int64_t t_max_predict_ms = 0;
  std::vector<std::string> stop;
  int n_keep = 0;     ///< accepted and shown; there is no context shift
  int n_discard = 0;  ///< likewise

  // Sampling.
  sampling::SamplingParams sampling;
  std::vector<std::string> dry_breakers;
  std::vector<std::string> samplers;  ///< names, as they will be applied
  bool ignore_eos = false;
  bool backend_sampling = false;

  /// Log-probabilities are wanted; n_probs alternatives each (0: the token's own only).
  bool want_logprobs = false;
  int n_probs = 0;
  bool post_sampling_probs = false;

  // Constraints; at most one of the two.
  std::string grammar;
  std::optional<Json> schema;
  bool grammar_lazy = false;
  std::vector<std::string> grammar_triggers;
  std::vector<TokenId> preserved_tokens;

  engine::SpeculationOptions speculation;
};

/// Reads all of the above from a body. Throws RequestError.
RequestFields read_request_fields(const Context& context, const Json& body);

/// A schema as requests give it: {} means any object. Throws RequestError naming `field` unless it
/// is an object or a Boolean.
Json checked_schema(const Json& schema, const std::string& field);

/// The name of what drafts for this request: "draft-mtp" or "none".
std::string speculation_name(const Context& context, const engine::SpeculationOptions& options);

}  // namespace foretoken::api
