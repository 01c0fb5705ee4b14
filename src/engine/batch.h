// One forward pass for several sessions at once. Weights are read once for all their rows; each
// row's bits are what they would be alone (ops.h), so who else is in a batch never changes a text.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "cache/checkpoint.h"
#include "engine/session.h"

namespace foretoken::engine {

/// What one session contributes to a pass.
struct BatchPart {
  enum class Kind {
    Prompt,  ///< tokens are committed; only their effect on the session counts
    Verify,  ///< 1 .. kMaxPending tokens, not committed; their logits are wanted
  };
  Session* session = nullptr;
  Kind kind = Kind::Verify;
  std::span<const TokenId> tokens;  ///< at least one
  /// Prompt parts: token counts of the session (after which tokens) at which checkpoints shall be
  /// taken on the way, ascending, in (n_past, n_past + tokens.size()]. They cost a copy of the
  /// state each, not another pass.
  std::span<const int> checkpoints_at = {};
};

/// What a part left behind.
struct BatchOutput {
  std::span<const float> logits;  ///< Verify: [tokens, n_vocab], valid until the next pass
  std::vector<cache::CheckpointPtr> checkpoints;
};

/// One session's next step of drafting with the MTP head.
struct DraftStep {
  enum class Kind {
    Begin,     ///< from the hidden row of the session's last token, with the token that follows it
    Continue,  ///< from h' of the step before, with the token drafted from it
  };
  Session* session = nullptr;
  TokenId token = 0;
  Kind kind = Kind::Begin;
};

/// Scratch memory of passes, shared by all sessions of an engine: whatever works on a session that
/// shares it is a pass, and ends the validity of what the pass before returned.
class Batch {
 public:
  /// The engine must outlive it. Throws RequestError unless 1 <= max_rows <= 65536.
  Batch(Engine& engine, int max_rows);

  const Engine& engine() const { return engine_; }
  int max_rows() const { return max_rows_; }

  /// Runs all parts; at most max_rows tokens together, each session in one part only. The outputs
  /// are in the order of the parts. Verify parts need Session::commit afterwards. Throws
  /// RequestError for token ids or counts out of range, and then no session has changed.
  std::vector<BatchOutput> run(std::span<const BatchPart> parts);

  /// One draft step of several sessions, each in it only once: reads the head's weights once for
  /// all. Returns h' [steps, d_model], valid until the next pass; MtpHead::logits scores all of
  /// them. Bits are those of Session::mtp_begin and mtp_continue, whose requirements hold for each
  /// session. Requires valid token ids and at most max_rows steps.
  std::span<const float> mtp_step(std::span<const DraftStep> steps);

  /// Normed hidden rows [n, d_model] of the last pass: of Verify parts first, then of Prompt parts.
  const float* hidden() const { return hidden_.data(); }

 private:
  friend class Session;
  struct Rows;  // a part's place in the pass

  void check(std::span<const BatchPart> parts) const;
  std::vector<Rows> make_room(std::span<const BatchPart> parts);
  void catch_up_head(std::span<const BatchPart> parts, std::span<const Rows> pass);
  std::vector<BatchOutput> collect(std::span<const BatchPart> parts, std::span<Rows> pass);
  const float* hidden_of(int row) const;
  std::span<const float> logits(const float* hidden, int n);

  Engine& engine_;
  int max_rows_;
  model::qwen35::Workspace workspace_;
  AlignedBuffer<float> hidden_;  // [max_rows, d_model]
  AlignedBuffer<float> drafts_;  // [steps, d_model] h'
  AlignedBuffer<float> logits_;  // [rows whose logits were wanted, n_vocab]
  model::qwen35::MtpHead::Pairs pairs_;
};

}  // namespace foretoken::engine
