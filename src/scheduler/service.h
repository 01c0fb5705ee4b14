// The inference worker as the API sees it. scheduler/scheduler.h is the real one; tests of the API
// use one that makes up tokens.
//
// All functions are thread safe and return at once; slot actions answer through a callback on the
// worker's thread.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "scheduler/request.h"

namespace foretoken::scheduler {

/// A slot as /slots shows it.
struct SlotInfo {
  int id = 0;
  int n_ctx = 0;
  bool speculative = false;
  bool is_processing = false;
  RequestId request = 0;    ///< of the current or last request, 0 before the first
  int n_prompt_tokens = 0;  ///< of that request
  int n_prompt_processed = 0;
  int n_prompt_cached = 0;
  int n_decoded = 0;
  int n_remain = -1;  ///< tokens until max_tokens; -1 without a limit
  bool has_next_token = false;
  bool has_new_line = false;
  std::string description;         ///< Request::description
  std::vector<TokenId> prompt;     ///< only when debugging was asked for
  std::vector<TokenId> generated;  ///< likewise
};

/// Counters since the start (they never fall) and gauges of now.
struct Metrics {
  std::uint64_t prompt_tokens = 0;  ///< processed, cached ones not counted
  std::uint64_t prompt_tokens_cached = 0;
  double prompt_seconds = 0.0;
  std::uint64_t predicted_tokens = 0;
  double predicted_seconds = 0.0;
  std::uint64_t decode_calls = 0;
  std::uint64_t n_tokens_max = 0;  ///< longest sequence seen
  std::uint64_t draft_tokens = 0;
  std::uint64_t draft_accepted = 0;
  std::uint64_t draft_rounds = 0;
  std::array<std::uint64_t, engine::kMaxDraftChain> accepted_at{};
  std::array<std::uint64_t, engine::kMaxDraftChain> drafted_at{};
  std::array<std::uint64_t, engine::kMaxDraftChain + 1> depth_rounds{};  ///< rounds by drafts made
  double draft_seconds = 0.0;
  double verify_seconds = 0.0;
  int requests_processing = 0;
  int requests_deferred = 0;
  std::uint64_t busy_slots_total = 0;  ///< sum over decode calls of slots taking part
  bool draft_parked = false;
  std::size_t checkpoint_bytes = 0;
  int n_checkpoints = 0;
  std::uint64_t prefix_hits = 0;
  std::map<std::string, std::uint64_t> prefix_misses;   ///< by reason
  std::map<std::string, std::uint64_t> full_reprocess;  ///< by reason
  std::vector<double> recent_ttft_seconds;         ///< since the last call of metrics(), bounded
  std::vector<double> recent_inter_token_seconds;  ///< likewise
};

/// What /v1/spec and the web page show of speculation, live.
struct SpeculationState {
  std::string kind = "none";  ///< "none" or "draft-mtp"
  int n_max = 0;
  int n_min = 0;
  float p_min = 0.0F;
  bool adaptive = true;
  bool mtp_present = false;
  bool parked = false;
  std::string parked_reason;
  double expected_speedup = 1.0;
  std::vector<double> acceptance_at;         ///< measured share kept, by position
  std::vector<double> verify_seconds_width;  ///< cost table by total width, from 1; 0: not measured
  double draft_step_seconds = 0.0;
};

struct SlotAction {
  enum class Kind { Save, Restore, Erase };
  Kind kind = Kind::Save;
  int slot = 0;
  std::string path;  ///< Save, Restore: the file
};
struct SlotActionResult {
  std::string error;         ///< empty: done. Otherwise one sentence
  bool bad_request = false;  ///< the slot or the file is not what was asked for (400, not 500)
  std::size_t n_tokens = 0;  ///< saved, restored or erased
  std::uint64_t n_bytes = 0;
  std::size_t n_reusable = 0;  ///< Restore: tokens a prompt can now reuse
  double ms = 0.0;
};

/// Why a request was not taken.
enum class Refusal { QueueFull, Stopping };

class Service {
 public:
  virtual ~Service() = default;

  /// Queues a request; its listener hears of everything else. Throws RequestError for a request out
  /// of range (prompt empty or too long, slot unknown, sampling parameters).
  virtual std::variant<RequestId, Refusal> submit(Request request) = 0;
  /// Ends a request at the next step (on_finish still comes). Unknown ids are ignored.
  virtual void cancel(RequestId id) = 0;
  /// Runs when the slot is idle.
  virtual void slot_action(SlotAction action, std::function<void(SlotActionResult)> done) = 0;

  virtual int n_slots() const = 0;
  virtual int slot_context() const = 0;  ///< tokens per slot
  virtual std::vector<SlotInfo> slots() const = 0;
  virtual Metrics metrics() const = 0;
  virtual SpeculationState speculation() const = 0;
  /// True while weights are unloaded after idle time; the next request wakes it.
  virtual bool is_sleeping() const { return false; }
};

}  // namespace foretoken::scheduler
