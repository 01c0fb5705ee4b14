// One timeline of tokens through a model: what was processed, and the state to go on from there.
//
// Four things move together and only together: the KV cache, the delta nets' recurrent states, the
// MTP head's own KV cache, and the hidden rows it still has to read. The recurrent state stands at
// the last committed token; tokens run after it are kept as replayable records until `commit` says
// how many of them count (kernels/delta_net_state.h), so that rejecting a draft is a smaller
// number.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/token.h"
#include "cache/checkpoint.h"
#include "cache/kv_cache.h"
#include "cache/recurrent_state.h"
#include "engine/engine.h"

namespace foretoken::engine {

class Batch;
struct DraftStep;

struct SessionOptions {
  int n_context = 4096;  ///< most tokens of the timeline
  int n_batch = 512;     ///< prompt tokens per forward pass (changes speed, not results)
  cache::KvTypes kv_types;
  bool use_mtp = true;    ///< keep the MTP head's cache up to date, where there is a head
  int n_checkpoints = 2;  ///< checkpoints `sync` may keep (one holds the recurrent state)
};

/// What the sessions of an engine share: pages, so that a checkpoint of one costs the others
/// nothing, and the working memory of passes.
struct SessionPools {
  std::shared_ptr<cache::KvPagePool> kv;
  std::shared_ptr<cache::KvPagePool> mtp_kv;  ///< null without a head
  std::shared_ptr<Batch> batch;
};

/// Pools for sessions with these options. `max_rows`: most rows of a shared pass (Batch::run), 0
/// for what one session needs. Throws RequestError for options out of range.
SessionPools make_session_pools(Engine& engine, const SessionOptions& options, int max_rows = 0);

class Session {
 public:
  /// Called between batches of a long prefill with (tokens done, tokens in all); false stops.
  using PrefillProgress = std::function<bool(int done, int total)>;

  /// A session of its own. Throws RequestError for options out of range. The engine must outlive
  /// the session.
  Session(Engine& engine, const SessionOptions& options);
  /// One of several with common pools. n_batch is at most the shared batch's rows. Throws
  /// RequestError for pools made for another engine, other cache types or another use of the head.
  Session(Engine& engine, const SessionOptions& options, SessionPools pools);

  const Engine& engine() const { return engine_; }
  int n_context() const { return options_.n_context; }
  int n_past() const { return n_past_; }
  /// Most tokens `run` could take now.
  int room() const { return options_.n_context - n_past_; }
  std::span<const TokenId> tokens() const {
    return {tokens_.data(), static_cast<std::size_t>(n_past_)};
  }

  /// Processes prompt tokens and commits them. Throws RequestError when they exceed the context or
  /// are not token ids. Returns false if `progress` stopped it (the tokens done so far are kept).
  bool prefill(std::span<const TokenId> prompt, const PrefillProgress& progress = {});

  /// Makes the timeline equal to `prompt`, reusing the longest prefix it can get back to (by
  /// rewinding or from a checkpoint) and processing the rest. At the end it takes a checkpoint for
  /// the next call. Returns the number of tokens reused.
  struct SyncResult {
    int n_reused = 0;
    int n_processed = 0;
    bool complete = true;  ///< false when `progress` stopped it
  };
  SyncResult sync(std::span<const TokenId> prompt, const PrefillProgress& progress = {});

  /// Processes 1 .. kMaxPending tokens without committing them and returns their logits
  /// [tokens, n_vocab], valid until the next pass. `commit` must follow.
  std::span<const float> run(std::span<const TokenId> tokens);
  /// Keeps the first `n_kept` tokens of the last `run` (0 .. their number) and drops the rest.
  void commit(int n_kept);

  /// Logits [n_vocab] after the last token. Requires n_past() > 0; valid until the next pass.
  std::span<const float> last_logits();
  /// Normed hidden rows [n, d_model] of the last `prefill` batch or `run`, if nothing else used the
  /// shared batch since.
  const float* batch_hidden() const;

  /// Processes tokens like prefill, handing each batch's logits to `sink` (first position of the
  /// batch, logits [n, n_vocab]): for perplexity and for comparing engines.
  void prefill_with_logits(
      std::span<const TokenId> prompt,
      const std::function<void(int first_pos, int n, std::span<const float>)>& sink);

  /// The timeline as it is now. Costs a copy of the recurrent state; keys and values are shared.
  cache::CheckpointPtr take_checkpoint();
  /// Makes the timeline the checkpoint's, whichever session of an engine with this model took it.
  /// What comes next has the same bits as it had there. Throws RequestError for one of another
  /// shape or cache type, without the head's part where it is needed, or longer than the context.
  void restore(const cache::CheckpointPtr& checkpoint);
  bool can_restore(const cache::Checkpoint& checkpoint) const;
  /// Goes back to `n_past` tokens, 0 or anything from rewind_floor() to n_past(). Throws
  /// RequestError otherwise: an older position needs a checkpoint. 0 gives all pages back.
  void rewind(int n_past);
  int rewind_floor() const { return n_state_; }

  /// Shared with the other sessions of its pools.
  Batch& batch() const { return *batch_; }

  // ---- The MTP head's side of the timeline. ----
  bool has_mtp() const { return mtp_kv_.has_value(); }
  /// First draft step: reads all pairs the head has not seen, the last being (hidden row of the
  /// last token, `next`), and returns h' [d_model]. Requires has_mtp() and n_past() > 0.
  std::span<const float> mtp_begin(TokenId next);
  /// Further draft step from the previous h' and the token drafted with it.
  std::span<const float> mtp_continue(TokenId drafted);
  /// How many further steps the head's cache has room for once `mtp_begin` was called.
  int mtp_room_after_begin() const { return options_.n_context - n_past_; }

 private:
  friend class Batch;
  using Pairs = model::qwen35::MtpHead::Pairs;

  // The steps of a pass, in this order, as Batch::run and a single session's calls take them.
  void check_tokens(std::span<const TokenId> tokens) const;
  void make_room(int n_tokens, bool commit);
  model::qwen35::PassPart begin_pass(std::span<const TokenId> tokens, bool commit);
  void end_pass(const float* hidden, bool commit);

  void fold_pending();
  void keep_hidden(int first_pos, int n, const float* hidden);
  std::span<const float> hidden_row(int pos) const;
  cache::CheckpointPtr make_checkpoint(int n_tokens, cache::RecurrentState::Snapshot recurrent,
                                       std::span<const float> hidden) const;
  void remember();
  std::string why_not(const cache::Checkpoint& checkpoint) const;

  void mtp_flush();
  int make_draft_room(const DraftStep& step, int n_spare);
  void add_draft_pairs(const DraftStep& step, Pairs& pairs);
  void keep_draft(std::span<const float> hidden);
  void add_pairs(int first, int end, const float* new_rows, TokenId last_next, Pairs& pairs);

  Engine& engine_;
  SessionOptions options_;
  std::shared_ptr<Batch> batch_;
  cache::KvCache kv_;
  cache::RecurrentState recurrent_;
  std::optional<cache::KvCache> mtp_kv_;

  std::vector<TokenId> tokens_;  // [n_past_ + n_run_]
  int n_past_ = 0;               // tokens that count
  int n_state_ = 0;  // tokens in the recurrent state; n_past_ - n_state_ are folded next
  int n_run_ = 0;    // tokens of the pass under way or the last run, not yet decided

  AlignedBuffer<float> hidden_ring_;  // [kHiddenRing, d_model] rows of the newest positions

  int mtp_pairs_ = 0;                // pairs (h_p, x_{p+1}) stored in the head's cache
  TokenId mtp_next_ = -1;            // the token of the newest pair when it lies beyond n_past_
  int mtp_pos_ = 0;                  // where the next draft step stores
  AlignedBuffer<float> mtp_hidden_;  // [d_model] h' of the newest draft step
  std::vector<cache::CheckpointPtr> checkpoints_;
};

}  // namespace foretoken::engine
