// The multi-token-prediction head: from the hidden row of position p and the token at p + 1 it
// foretells the token at p + 2.
//
//   u = W_eh [ norm(embed[x_{p+1}]; enorm), norm(h_p; hnorm) ]      embedding half first
//   u = full-attention layer(u), with its own keys and values at position p
//   h' = norm(u; shared_head_norm);  logits = h' times the output matrix
// The first step of a draft takes the trunk's hidden row (after its final norm), each later one the
// head's own h'. Keys and values depend on the pair alone, so catching up over a prompt needs only
// the joining projection and two small products.
// Source: docs/mtp.md; pairing as in vLLM's qwen3_5_mtp.py (pair (h_p, x_{p+1}) at position p).
#pragma once

#include <span>
#include <vector>

#include "base/token.h"
#include "cache/kv_cache.h"
#include "kernels/ops.h"
#include "model/qwen35/text_model.h"

namespace foretoken::model::qwen35 {

class MtpHead {
 public:
  /// Requires weights.mtp() != nullptr. Borrows both.
  MtpHead(const Weights& weights, kernels::Ops& ops);

  /// Pairs of one or several sequences, at most workspace.max_tokens of them. Those of a sequence
  /// stand together and at consecutive positions; `parts` says whose they are.
  struct Pairs {
    std::vector<TokenId> next_tokens;  ///< [n] x_{p+1}
    std::vector<const float*> hidden;  ///< [n] rows h_p [d_model], borrowed
    std::vector<RopePosition> rope;    ///< [n]
    std::vector<PassPart> parts;       ///< cache positions, and the head's caches

    int n() const { return static_cast<int>(next_tokens.size()); }
    void clear();
    /// Adds a part of text: hidden rows of positions first_pos, first_pos + 1, ... and the tokens
    /// behind them.
    void add_text(int first_pos, std::span<const float* const> rows, std::span<const TokenId> next,
                  const cache::KvCache& kv);
  };

  /// Stores keys and values only.
  void catch_up(const Pairs& pairs, Workspace& workspace) const;

  /// Stores keys and values of all pairs and writes h' of the last one of each part:
  /// hidden_out [parts, d_model].
  void step(const Pairs& pairs, Workspace& workspace, float* hidden_out) const;

  /// The whole layer for all pairs, keys and values included: h' [n, d_model] of each. Drafting
  /// never needs it (all but the last pair only feed the cache); measuring the head's inputs does.
  void forward(const Pairs& pairs, Workspace& workspace, float* hidden_out) const;

  /// Logits of n rows h' for the given rows of the output matrix, in order of the ranges:
  /// out [n, sum of counts].
  void logits(const float* hidden, int n, std::span<const kernels::RowRange> rows,
              float* out) const;

 private:
  void join(const Pairs& pairs, Workspace& workspace) const;
  void store_pairs(const Pairs& pairs, Workspace& workspace) const;

  const Weights& weights_;
  const MtpWeights& mtp_;
  kernels::Ops& ops_;
};

}  // namespace foretoken::model::qwen35
