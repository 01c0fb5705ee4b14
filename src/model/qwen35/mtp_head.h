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

  /// Pairs of one batch: `hidden` [n, d_model] rows h_p .. h_{p+n-1} and the tokens that follow
  /// them, stored at cache positions first_pos .., rotated by `rope`.
  struct Pairs {
    std::span<const TokenId> next_tokens;
    const float* hidden = nullptr;
    std::span<const RopePosition> rope;
    int first_pos = 0;
  };

  /// Stores keys and values only.
  void catch_up(const Pairs& pairs, const cache::KvCache& kv, Workspace& workspace) const;

  /// Stores keys and values of all pairs and writes h' [d_model] of the last one.
  void step(const Pairs& pairs, const cache::KvCache& kv, Workspace& workspace,
            float* hidden_out) const;

  /// The whole layer for all pairs, keys and values included: h' [n, d_model] of each. Drafting
  /// never needs it (all but the last pair only feed the cache); measuring the head's inputs does.
  void forward(const Pairs& pairs, const cache::KvCache& kv, Workspace& workspace,
               float* hidden_out) const;

  /// Logits of one h' row for the given rows of the output matrix, in order of the ranges.
  void logits(const float* hidden, std::span<const kernels::RowRange> rows, float* out) const;

 private:
  void join(const Pairs& pairs, Workspace& workspace) const;
  void store_pairs(const Pairs& pairs, const cache::KvCache& kv, Workspace& workspace) const;

  const Weights& weights_;
  const MtpWeights& mtp_;
  kernels::Ops& ops_;
};

}  // namespace foretoken::model::qwen35
