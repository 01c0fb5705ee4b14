// The rules that decide how many drafted tokens the target keeps. Pure functions: the target model
// alone defines the output, and these rules are why.
//
// Rejection sampling: a draft d drawn from q is kept with probability min(1, p(d)/q(d)); otherwise
// the token is drawn from the residual normalise(max(p - q, 0)). The emitted token then has law p:
//   q(x) min(1, p(x)/q(x)) + (1 - sum_y min(p(y), q(y))) * max(p(x)-q(x), 0) / sum_y max(p(y)-q(y),
//   0) = min(p(x), q(x)) + max(p(x) - q(x), 0) = p(x).
// A draft chosen without chance is the case q = point mass: kept with probability p(d).
// Source: Leviathan et al., "Fast Inference from Transformers via Speculative Decoding" (2023);
// Chen et al., "Accelerating Large Language Model Decoding with Speculative Sampling" (2023).
#pragma once

#include <functional>
#include <span>

#include "base/token.h"
#include "sampling/distribution.h"

namespace foretoken::sampling {

/// A verification's outcome: the first n_accepted drafts are kept, then `next` follows.
struct AcceptResult {
  int n_accepted = 0;
  TokenId next = 0;
};

/// Source of numbers uniform on [0, 1).
using Uniform = std::function<double()>;

/// Keeps drafts while they equal the target's choice; `next` is the target's token at the first
/// difference, or its token after the last draft. target_argmax[i] is the target's token after i
/// drafts. Drafts without a following target token are not considered.
/// Throws Error when target_argmax is empty.
AcceptResult accept_greedy(std::span<const TokenId> drafts, std::span<const TokenId> target_argmax);

/// True when `draft`, drawn from q, is kept under target law p; u uniform on [0, 1).
/// An empty q, or one that does not hold the draft, counts as a point mass on the draft: that keeps
/// the law exact for any draft that was chosen without looking at u.
bool accept_draft(TokenId draft, const Distribution& q, const Distribution& p, double u);

/// The token that replaces a refused draft: drawn from normalise(max(p - q, 0)) with the same
/// reading of q; from p when rounding leaves no residual. Requires p to have a candidate.
TokenId draw_residual(TokenId draft, const Distribution& q, const Distribution& p, double u);

/// The sampled rule for a chain. q[i] is the law drafts[i] was drawn from, p[i] the target's law
/// after i drafts, with penalties and masks evaluated on a history that includes those drafts.
/// n drafts use q[0..n) and p[0..n]; surplus drafts (without a q, or a p behind them) are dropped.
/// Numbers of `uniform` used: one per draft looked at, then one for `next`.
/// Throws Error when p is empty or one of the used laws of p has no candidate.
AcceptResult accept_sampled(std::span<const TokenId> drafts, std::span<const Distribution> q,
                            std::span<const Distribution> p, const Uniform& uniform);

}  // namespace foretoken::sampling
