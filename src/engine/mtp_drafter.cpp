#include "engine/mtp_drafter.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

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

// How sure the head is of the law's favourite: its own favourite, unless a constraint refused that.
float confidence_in(const sampling::Distribution& law, std::span<const float> logits,
                    bool is_constrained) {
  const float top = *std::max_element(logits.begin(), logits.end());
  const float p = top_probability(logits, top);
  if (!is_constrained) return p;
  return p * std::exp(std::min(law.candidates.front().logit - top, 0.0F));
}

std::shared_ptr<const DraftVocabulary> frequent_rows(const Engine& engine, int n_frequent) {
  DraftVocabulary rows(engine.tokenizer(), engine.config().n_vocab, n_frequent);
  static_cast<void>(rows.ids());  // listed once, for all copies
  return std::make_shared<const DraftVocabulary>(std::move(rows));
}

}  // namespace

Draft given_draft(std::span<const TokenId> given) {
  Draft draft;
  for (const TokenId token : given) draft.add(token, sampling::Distribution::point_mass(token));
  draft.n_given = draft.size();
  return draft;
}

MtpDrafter::MtpDrafter(const Engine& engine, int n_frequent)
    : MtpDrafter(engine, frequent_rows(engine, n_frequent)) {}

MtpDrafter::MtpDrafter(const Engine& engine, std::shared_ptr<const DraftVocabulary> frequent)
    : engine_(engine), frequent_(std::move(frequent)), vocabulary_(*frequent_) {}

std::unique_ptr<Drafter> MtpDrafter::fresh() const {
  return std::unique_ptr<Drafter>(new MtpDrafter(engine_, frequent_));
}

sampling::Distribution MtpDrafter::law_of(const DraftRequest& request, sampling::Sampler& sampler) {
  const std::span<const TokenId> ids = vocabulary_.ids();
  if (request.constraint == nullptr) return sampler.distribution(logits_, ids);
  return sampler.draft_distribution(logits_, ids, *request.constraint);
}

Draft MtpDrafter::propose(Session& session, const DraftRequest& request, sampling::Sampler& sampler,
                          const DraftGate& gate) {
  const auto start = std::chrono::steady_clock::now();
  Draft draft = given_draft(request.given);
  const std::span<const kernels::RowRange> rows = vocabulary_.ranges();
  logits_.resize(vocabulary_.ids().size());
  const auto enter = [&](TokenId token) {
    sampler.accept(token);
    if (request.constraint != nullptr) request.constraint->accept(token);
  };
  for (const TokenId token : request.given) enter(token);
  // The newest pair and each draft but the last take a place in the head's cache.
  const int n_most = std::min(request.n_max, session.mtp_room_after_begin() + 1 - draft.n_given);
  std::span<const float> hidden;
  const auto step = [&](TokenId token) {
    hidden = draft.n_steps == 0 ? session.mtp_begin(token) : session.mtp_continue(token);
    ++draft.n_steps;
  };
  if (n_most > 0) step(request.last);
  for (int i = 0; i < draft.n_given && n_most > 0; ++i)
    step(request.given[static_cast<std::size_t>(i)]);
  while (draft.n_own() < n_most) {
    if (draft.n_own() > 0) step(draft.tokens.back());
    engine_.mtp_head()->logits(hidden.data(), 1, rows, logits_.data());
    sampling::Distribution law = law_of(request, sampler);
    if (law.candidates.empty()) break;
    const bool is_constrained = request.constraint != nullptr && request.constraint->restricts();
    draft.confidence.push_back(confidence_in(law, logits_, is_constrained));
    const DraftDecision decision = gate(draft.confidence);
    if (decision == DraftDecision::Drop) break;
    const bool is_drawn = request.choice == DraftChoice::Drawn;
    const TokenId token = is_drawn ? sampler.draw(law) : law.top();
    draft.add(token, is_drawn ? std::move(law) : sampling::Distribution::point_mass(token));
    enter(token);
    if (decision == DraftDecision::KeepAndStop) break;
  }
  sampler.rollback(draft.size());
  if (request.constraint != nullptr) request.constraint->rollback(draft.size());
  draft.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return draft;
}

}  // namespace foretoken::engine
