// Bias and penalties touch few tokens, so they are applied to a copy of the logits at just those
// ids; without them the caller's logits are read in place.
#include "sampling/sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <random>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "sampling/filters.h"
#include "sampling/penalties.h"
#include "sampling/select.h"

namespace foretoken::sampling {
namespace {

/// Candidates asked one by one before the whole vocabulary is masked: where less than top_k of the
/// best 256 are allowed, the mask is cheaper than going on.
constexpr int kMostAsked = 256;

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
      chain_(make_chain(params_)),
      greedy_(is_greedy(params_)),
      n_vocab_(n_vocab),
      n_real_vocab_(n_real_vocab),
      seed_(params.seed == kRandomSeed ? std::random_device{}() : params.seed),
      random_(seed_),
      history_(applies(params, ChainStep::Penalties) ? params.repeat_last_n : 0),
      dry_(params) {
  if (!sampling::adapts(params_)) return;
  if (params_.mirostat != 0) {
    mirostat_.emplace(params_, n_real_vocab_);
  } else {
    adaptive_.emplace(params_);
  }
}

bool Sampler::has_on_logits(ChainStep step) const {
  return std::ranges::find(chain_.on_logits, step) != chain_.on_logits.end();
}

bool Sampler::has_on_list(ChainStep step) const {
  return std::ranges::find(chain_.on_list, step) != chain_.on_list.end();
}

bool Sampler::changes_logits() const {
  return !params_.logit_bias.empty() || !chain_.on_logits.empty();
}

bool Sampler::plain_argmax() const {
  return greedy() && params_.logit_bias.empty() && !applies(params_, ChainStep::TypicalP) &&
         !applies(params_, ChainStep::Penalties) && !applies(params_, ChainStep::Dry);
}

void Sampler::accept(TokenId id) {
  history_.accept(id);
  if (mirostat_) mirostat_->accept(id);
  if (adaptive_) adaptive_->accept(id);
}

void Sampler::rollback(int n) {
  history_.rollback(n);
  if (mirostat_) mirostat_->rollback(n);
  if (adaptive_) adaptive_->rollback(n);
}

/// Calls find(id) -> float* (null: that token has no logit here) for everything to change.
template <class FindLogit>
void Sampler::adjust(FindLogit find) const {
  for (const LogitBias& entry : params_.logit_bias) {
    if (float* logit = find(entry.token)) *logit += entry.bias;
  }
  if (has_on_logits(ChainStep::Penalties)) {
    for (const auto& [id, count] : history_.counts()) {
      if (float* logit = find(id)) *logit = penalized_logit(*logit, count, params_);
    }
  }
  if (!has_on_logits(ChainStep::Dry)) return;
  for (const auto& [id, amount] : dry_.penalties(history_.last(dry_.window()))) {
    if (float* logit = find(id)) *logit -= amount;
  }
}

/// The logits of all real tokens after the bias and the chain's steps on logits.
std::span<const float> Sampler::adjusted(std::span<const float> logits) {
  if (logits.size() < static_cast<std::size_t>(n_real_vocab_)) {
    throw Error(
        fmt::format("the sampler got {} logits: expected {}, one per token of the vocabulary",
                    logits.size(), n_vocab_));
  }
  logits = logits.first(static_cast<std::size_t>(n_real_vocab_));
  if (!changes_logits()) return logits;
  scratch_.assign(logits.begin(), logits.end());
  adjust([this](TokenId id) {
    return id >= 0 && id < n_real_vocab_ ? &scratch_[static_cast<std::size_t>(id)] : nullptr;
  });
  if (has_on_logits(ChainStep::TopNSigma)) mask_below_n_sigma(scratch_, params_.top_n_sigma);
  return scratch_;
}

std::vector<TokenId> Sampler::adjusted_ids() const {
  std::vector<TokenId> ids;
  for (const LogitBias& entry : params_.logit_bias) ids.push_back(entry.token);
  if (has_on_logits(ChainStep::Penalties)) {
    for (const auto& entry : history_.counts()) ids.push_back(entry.first);
  }
  if (has_on_logits(ChainStep::Dry)) {
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

/// The same for some rows.
std::span<const float> Sampler::adjusted(std::span<const float> logits,
                                         std::span<const TokenId> ids) {
  if (logits.size() != ids.size()) {
    throw Error(fmt::format("the sampler got {} logits for {} tokens: expected one logit per token",
                            logits.size(), ids.size()));
  }
  const bool has_padding = n_real_vocab_ < n_vocab_;
  if (!changes_logits() && !has_padding) return logits;
  scratch_.assign(logits.begin(), logits.end());
  if (has_padding) {
    for (std::size_t row = 0; row < ids.size(); ++row) {
      if (ids[row] >= n_real_vocab_) scratch_[row] = -std::numeric_limits<float>::infinity();
    }
  }
  adjust_rows(ids);
  if (has_on_logits(ChainStep::TopNSigma)) mask_below_n_sigma(scratch_, params_.top_n_sigma);
  return scratch_;
}

/// How many of the best candidates the filters look at; n_logits: possibly all.
int Sampler::n_listed(int n_logits) const {
  // Of the filters only typical_p can drop the best token, and of the steps on a list only
  // penalties make another one the best; without them greedy needs nothing else.
  const bool may_lose_best = has_on_list(ChainStep::TypicalP) ||
                             has_on_list(ChainStep::Penalties) || has_on_list(ChainStep::Dry);
  if (greedy() && !may_lose_best) return 1;
  const bool top_k_first = !chain_.on_list.empty() && chain_.on_list.front() == ChainStep::TopK;
  return top_k_first ? std::min(params_.top_k, n_logits) : n_logits;
}

/// True when nothing before min_p needs the whole law: what min_p drops need not be listed at all.
bool Sampler::lists_by_share(int n_logits) const {
  const bool min_p_first = !chain_.on_list.empty() && chain_.on_list.front() == ChainStep::MinP;
  return n_listed(n_logits) == n_logits && min_p_first && params_.min_keep <= 1;
}

CandidateList Sampler::listed(std::span<const float> logits, std::span<const TokenId> ids) const {
  const int n = static_cast<int>(logits.size());
  const int k = n_listed(n);
  CandidateList list;
  if (k < n) {
    list.items = select_top_k(logits, ids, k);
    list.n_sorted = list.items.size();
  } else if (lists_by_share(n)) {
    list.items = select_by_share(logits, ids, params_.min_p);
  } else {
    list.items = select_all(logits, ids);
  }
  return list;
}

/// What `listed` would give after the constraint's mask, found by asking about the best candidates
/// alone; empty when that does not settle it.
std::optional<CandidateList> Sampler::listed_if_allowed(std::span<const float> logits,
                                                        std::span<const TokenId> ids,
                                                        TokenConstraint& constraint) const {
  const int n = static_cast<int>(logits.size());
  const int k = n_listed(n);
  const auto refused = [&](const Candidate& c) { return !constraint.allows(c.id); };
  if (lists_by_share(n)) {
    CandidateList list{select_by_share(logits, ids, params_.min_p), 0};
    list.sort_prefix(1);
    // With the best one refused, another sets the bar.
    if (list.items.size() > kMostAsked || list.items.empty() || refused(list.items.front())) {
      return std::nullopt;
    }
    std::erase_if(list.items, refused);
    list.n_sorted = 1;
    return list;
  }
  // The sigma of top_n_sigma is that of the allowed logits, which only a mask finds.
  if (k >= n || k > kMostAsked || has_on_logits(ChainStep::TopNSigma)) return std::nullopt;
  // The first try looks no further than without a constraint.
  for (const int n_asked : {k, kMostAsked}) {
    CandidateList list{select_top_k(logits, ids, n_asked), 0};
    const bool is_all = static_cast<int>(list.items.size()) < n_asked;
    std::erase_if(list.items, refused);
    if (static_cast<int>(list.items.size()) < k && !is_all) continue;
    if (list.items.empty()) return std::nullopt;
    list.items.resize(std::min(list.items.size(), static_cast<std::size_t>(k)));
    list.n_sorted = list.items.size();
    return list;
  }
  return std::nullopt;
}

Distribution Sampler::shaped(CandidateList list) {
  if (list.items.empty()) {
    throw Error(
        "no token can be sampled: every logit is NaN, masked or banned; check the grammar and "
        "logit_bias of the request, and the model file if there are none");
  }
  Distribution law = after_steps(std::move(list), chain_.on_list);
  return adaptive_ ? adaptive_->law(std::move(law)) : law;
}

/// The law that the remaining steps make of a list. XTC's coin makes it the mixture of two.
Distribution Sampler::after_steps(CandidateList list, std::span<const ChainStep> steps) {
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const std::span<const ChainStep> rest = steps.subspan(i + 1);
    if (steps[i] == ChainStep::Temperature && rest.empty()) return after_last(std::move(list));
    if (steps[i] != ChainStep::Xtc) {
      apply_step(list, steps[i]);
      continue;
    }
    const std::size_t n = n_top_choices(list, params_.xtc_threshold, params_.min_keep);
    if (n == 0) continue;
    const auto probability = static_cast<double>(params_.xtc_probability);
    if (adaptive_) {  // whose state needs the probability on the side where the coin fell
      if (uniform() < probability) list = without_best(list, n);
      continue;
    }
    const Distribution removed = after_steps(without_best(list, n), rest);
    return mixture(after_steps(std::move(list), rest), removed, probability);
  }
  return to_distribution(std::move(list), 1.0F);
}

/// The chain's usual end: temperature, and mirostat where that is on.
Distribution Sampler::after_last(CandidateList list) {
  if (mirostat_) return mirostat_->law(std::move(list), params_.temperature);
  const float temperature = temperature_for(list);
  return to_distribution(std::move(list), temperature);
}

float Sampler::temperature_for(CandidateList& list) const {
  if (params_.mirostat != 0) return params_.temperature;
  return dynamic_temperature(list, params_.temperature, params_.dynatemp_range,
                             params_.dynatemp_exponent);
}

void Sampler::apply_step(CandidateList& list, ChainStep step) const {
  switch (step) {
    case ChainStep::Penalties:
    case ChainStep::Dry:
      return adjust_list(list, step);
    case ChainStep::TopNSigma:
      return filter_n_sigma(list, params_.top_n_sigma);
    case ChainStep::TopK:
      return filter_top_k(list, params_.top_k);
    case ChainStep::TypicalP:
      return filter_typical(list, params_.typical_p, params_.min_keep);
    case ChainStep::TopP:
      return filter_top_p(list, params_.top_p, params_.min_keep);
    case ChainStep::MinP:
      return filter_min_p(list, params_.min_p, params_.min_keep);
    case ChainStep::Temperature:
      return scale_by_temperature(list, temperature_for(list));
    case ChainStep::Xtc:
      return;  // branches, in after_steps
  }
}

/// Penalties or DRY where the order puts them behind a step that lists candidates.
void Sampler::adjust_list(CandidateList& list, ChainStep step) const {
  if (step == ChainStep::Penalties) {
    for (Candidate& c : list.items) {
      const auto entry = history_.counts().find(c.id);
      if (entry != history_.counts().end()) {
        c.logit = penalized_logit(c.logit, entry->second, params_);
      }
    }
  } else {
    const auto penalties = dry_.penalties(history_.last(dry_.window()));
    for (Candidate& c : list.items) {
      const auto entry = penalties.find(c.id);
      if (entry != penalties.end()) c.logit -= entry->second;
    }
  }
  list.n_sorted = 0;
}

Distribution Sampler::distribution(std::span<const float> logits) {
  return shaped(listed(adjusted(logits), {}));
}

Distribution Sampler::distribution(std::span<const float> logits, std::span<const TokenId> ids) {
  return shaped(listed(adjusted(logits, ids), ids));
}

Distribution Sampler::distribution(std::span<const float> logits, TokenConstraint& constraint) {
  if (!constraint.restricts()) return distribution(logits);
  auto list = listed_if_allowed(adjusted(logits), {}, constraint);
  if (list) return shaped(*std::move(list));
  masked_.assign(logits.begin(), logits.end());
  constraint.mask(masked_);
  return distribution(masked_);
}

Distribution Sampler::draft_distribution(std::span<const float> logits,
                                         std::span<const TokenId> ids,
                                         TokenConstraint& constraint) {
  if (!constraint.restricts()) return distribution(logits, ids);
  const std::span<const float> reshaped = adjusted(logits, ids);
  auto list = listed_if_allowed(reshaped, ids, constraint);
  if (list) return shaped(*std::move(list));
  // Some of the best rows, then: what the chain would have kept, less what is forbidden.
  CandidateList best{select_top_k(reshaped, ids, kMostAsked), 0};
  std::erase_if(best.items, [&](const Candidate& c) { return !constraint.allows(c.id); });
  best.n_sorted = best.items.size();
  return best.items.empty() ? Distribution{} : shaped(std::move(best));
}

TokenId Sampler::draw(const Distribution& distribution) {
  if (distribution.candidates.size() == 1) return distribution.top();
  return sampling::draw(distribution, uniform());
}

}  // namespace foretoken::sampling
