#include "engine/mtp_drafter.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace foretoken::engine {
namespace {

// Softmax probability of the largest logit, over the rows scored.
float top_probability(std::span<const float> logits, float top) {
  double sum = 0.0;
  for (const float value : logits) {
    // Terms below e^-20 cannot change the sum's fourth digit, even 250K of them.
    if (value > top - 20.0F) sum += std::exp(static_cast<double>(value - top));
  }
  return static_cast<float>(1.0 / sum);
}

}  // namespace

MtpDrafter::MtpDrafter(const Engine& engine, int n_frequent)
    : engine_(engine), vocabulary_(engine.tokenizer(), engine.config().n_vocab, n_frequent) {}

Draft MtpDrafter::propose(Session& session, TokenId last, int n_max, sampling::Sampler& sampler,
                          const DraftGate& gate) {
  const auto start = std::chrono::steady_clock::now();
  Draft draft;
  const std::span<const kernels::RowRange> rows = vocabulary_.ranges();
  const std::span<const TokenId> ids = vocabulary_.ids();
  logits_.resize(ids.size());
  // The newest pair and each draft but the last take a place in the head's cache.
  const int n_most = std::min(n_max, session.mtp_room_after_begin() + 1);
  for (int position = 0; position < n_most; ++position) {
    const std::span<const float> hidden =
        position == 0 ? session.mtp_begin(last) : session.mtp_continue(draft.tokens.back());
    engine_.mtp_head()->logits(hidden.data(), 1, rows, logits_.data());
    ++draft.n_steps;
    sampling::Distribution law = sampler.distribution(logits_, ids);
    const float top = *std::max_element(logits_.begin(), logits_.end());
    draft.confidence.push_back(top_probability(logits_, top));
    const DraftDecision decision = gate(draft.confidence);
    if (decision == DraftDecision::Drop) break;
    const TokenId token = sampler.draw(law);
    draft.tokens.push_back(token);
    draft.laws.push_back(std::move(law));
    sampler.accept(token);
    if (decision == DraftDecision::KeepAndStop) break;
  }
  sampler.rollback(static_cast<int>(draft.tokens.size()));
  draft.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return draft;
}

}  // namespace foretoken::engine
