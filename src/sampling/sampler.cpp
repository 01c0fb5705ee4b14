// Bias and penalties touch few tokens, so they are applied to a copy of the logits at just those
// ids; without them the caller's logits are read in place.
#include "sampling/sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <random>
#include <unordered_map>

#include "base/error.h"
#include "sampling/filters.h"
#include "sampling/penalties.h"
#include "sampling/select.h"

namespace foretoken::sampling {
namespace {

const SamplingParams& validated(const SamplingParams& params, int n_vocab, int n_real_vocab) {
  if (n_real_vocab < 1 || n_real_vocab > n_vocab) {
    throw RequestError(fmt::format(
        "the sampler was given {} real tokens of a vocabulary of {}: expected 1 to n_vocab",
        n_real_vocab, n_vocab));
  }
  validate(params, n_vocab);
  return params;
}

}  // namespace

Sampler::Sampler(const SamplingParams& params, int n_vocab, int n_real_vocab)
    : params_(validated(params, n_vocab, n_real_vocab)),
      n_vocab_(n_vocab),
      n_real_vocab_(n_real_vocab),
      seed_(params.seed == kRandomSeed ? std::random_device{}() : params.seed),
      random_(seed_),
      history_(has_token_penalties(params) ? params.repeat_last_n : 0),
      dry_(params) {}

bool Sampler::changes_logits() const {
  return !params_.logit_bias.empty() || has_token_penalties(params_) || dry_.enabled() ||
         params_.top_n_sigma > 0.0F;
}

bool Sampler::plain_argmax() const {
  return greedy() && params_.typical_p >= 1.0F && params_.logit_bias.empty() &&
         !has_token_penalties(params_) && !dry_.enabled();
}

/// Calls find(id) -> float* (null: that token has no logit here) for everything to change.
template <class FindLogit>
void Sampler::adjust(FindLogit find) const {
  for (const LogitBias& entry : params_.logit_bias) {
    if (float* logit = find(entry.token)) *logit += entry.bias;
  }
  for (const auto& [id, count] : history_.counts()) {
    if (float* logit = find(id)) *logit = penalized_logit(*logit, count, params_);
  }
  if (!dry_.enabled()) return;
  for (const auto& [id, amount] : dry_.penalties(history_.last(dry_.window()))) {
    if (float* logit = find(id)) *logit -= amount;
  }
}

Distribution Sampler::distribution(std::span<const float> logits) {
  if (logits.size() < static_cast<std::size_t>(n_real_vocab_)) {
    throw Error(
        fmt::format("the sampler got {} logits: expected {}, one per token of the vocabulary",
                    logits.size(), n_vocab_));
  }
  logits = logits.first(static_cast<std::size_t>(n_real_vocab_));
  if (!changes_logits()) return filter(logits, {});
  scratch_.assign(logits.begin(), logits.end());
  adjust([this](TokenId id) {
    return id >= 0 && id < n_real_vocab_ ? &scratch_[static_cast<std::size_t>(id)] : nullptr;
  });
  mask_below_n_sigma(scratch_, params_.top_n_sigma);
  return filter(scratch_, {});
}

std::vector<TokenId> Sampler::adjusted_ids() const {
  std::vector<TokenId> ids;
  for (const LogitBias& entry : params_.logit_bias) ids.push_back(entry.token);
  for (const auto& entry : history_.counts()) ids.push_back(entry.first);
  if (dry_.enabled()) {
    const std::span<const TokenId> recent = history_.last(dry_.window());
    ids.insert(ids.end(), recent.begin(), recent.end());
  }
  std::erase_if(ids, [this](TokenId id) { return id < 0 || id >= n_real_vocab_; });
  return ids;
}

void Sampler::adjust_rows(std::span<const TokenId> ids) {
  // One pass over the rows against a table of marks finds the few rows that matter.
  const std::vector<TokenId> wanted = adjusted_ids();
  if (wanted.empty()) return;
  adjusted_.resize(static_cast<std::size_t>(n_vocab_));
  for (const TokenId id : wanted) adjusted_[static_cast<std::size_t>(id)] = 1;
  std::unordered_map<TokenId, std::size_t> row_of;
  for (std::size_t row = 0; row < ids.size(); ++row) {
    if (ids[row] < 0 || ids[row] >= n_real_vocab_) continue;
    if (adjusted_[static_cast<std::size_t>(ids[row])] != 0) row_of.emplace(ids[row], row);
  }
  for (const TokenId id : wanted) adjusted_[static_cast<std::size_t>(id)] = 0;
  adjust([&](TokenId id) {
    const auto entry = row_of.find(id);
    return entry == row_of.end() ? nullptr : &scratch_[entry->second];
  });
}

Distribution Sampler::distribution(std::span<const float> logits, std::span<const TokenId> ids) {
  if (logits.size() != ids.size()) {
    throw Error(fmt::format("the sampler got {} logits for {} tokens: expected one logit per token",
                            logits.size(), ids.size()));
  }
  const bool has_padding = n_real_vocab_ < n_vocab_;
  if (!changes_logits() && !has_padding) return filter(logits, ids);
  scratch_.assign(logits.begin(), logits.end());
  if (has_padding) {
    for (std::size_t row = 0; row < ids.size(); ++row) {
      if (ids[row] >= n_real_vocab_) scratch_[row] = -std::numeric_limits<float>::infinity();
    }
  }
  adjust_rows(ids);
  mask_below_n_sigma(scratch_, params_.top_n_sigma);
  return filter(scratch_, ids);
}

Distribution Sampler::filter(std::span<const float> logits, std::span<const TokenId> ids) const {
  const int n = static_cast<int>(logits.size());
  int k = params_.top_k > 0 ? std::min(params_.top_k, n) : n;
  // Of the filters only typical_p can drop the best token; without it greedy needs nothing else.
  if (greedy() && params_.typical_p >= 1.0F) k = 1;
  CandidateList list;
  if (k < n) {
    list.items = select_top_k(logits, ids, k);
    list.n_sorted = list.items.size();
  } else if (params_.typical_p >= 1.0F && params_.top_p >= 1.0F && params_.min_p > 0.0F &&
             params_.min_keep <= 1) {
    // Nothing before min_p needs the whole law: what it drops need not be listed at all.
    list.items = select_by_share(logits, ids, params_.min_p);
  } else {
    list.items = select_all(logits, ids);
  }
  if (list.items.empty()) {
    throw Error(
        fmt::format("no token can be sampled: each of the {} logits is NaN, masked or banned; "
                    "check the grammar "
                    "and logit_bias of the request, and the model file if there are none",
                    n));
  }
  filter_typical(list, params_.typical_p, params_.min_keep);
  filter_top_p(list, params_.top_p, params_.min_keep);
  filter_min_p(list, params_.min_p, params_.min_keep);
  return to_distribution(std::move(list), params_.temperature);
}

TokenId Sampler::draw(const Distribution& distribution) {
  if (distribution.candidates.size() == 1) return distribution.top();
  return sampling::draw(distribution, uniform());
}

}  // namespace foretoken::sampling
