#include "engine/verify.h"

#include "sampling/accept.h"

namespace foretoken::engine {
namespace {

struct Verdict {
  TokenId token = 0;
  bool keeps_draft = false;
};

Verdict decide(const Draft& draft, std::size_t i, const sampling::Distribution& law,
               const Target& target, int n_by_lot) {
  const bool has_draft = i < draft.tokens.size();
  if (target.synthetic != nullptr) {
    if (static_cast<int>(i) < n_by_lot) return {draft.tokens[i], true};
    return {target.sampler.draw(law), false};
  }
  if (!has_draft || target.rule == DraftRule::Compare) {
    const TokenId token = target.sampler.draw(law);
    return {token, has_draft && draft.tokens[i] == token};
  }
  const TokenId token = draft.tokens[i];
  const sampling::Distribution& q = draft.laws[i];
  if (sampling::accept_draft(token, q, law, target.sampler.uniform())) return {token, true};
  return {sampling::draw_residual(token, q, law, target.sampler.uniform()), false};
}

}  // namespace

Judged judge(const Draft& draft, std::span<const float> logits, const Target& target) {
  const std::size_t n_vocab = logits.size() / (draft.tokens.size() + 1);
  const std::size_t n_real = static_cast<std::size_t>(target.sampler.n_real_vocab());
  const bool is_by_lot = target.synthetic != nullptr && draft.size() > 0;
  const int n_by_lot = is_by_lot ? target.synthetic->accept(draft.size()) : 0;
  Judged out;
  for (std::size_t i = 0; i <= draft.tokens.size(); ++i) {
    const std::span<const float> row = logits.subspan(i * n_vocab, n_vocab);
    const sampling::Distribution law = target.constraint == nullptr
                                           ? target.sampler.distribution(row)
                                           : target.sampler.distribution(row, *target.constraint);
    const Verdict verdict = decide(draft, i, law, target, n_by_lot);
    out.tokens.push_back(verdict.token);
    if (const ProbabilityOptions& asked = target.probabilities; asked.n_probs > 0) {
      out.logprobs.push_back(
          asked.after_sampling
              ? sampling::law_logprobs(law, verdict.token, asked.n_probs)
              : sampling::model_logprobs(row.first(n_real), verdict.token, asked.n_probs));
    }
    if (!verdict.keeps_draft) break;
    ++out.n_accepted;
    target.sampler.accept(verdict.token);
    if (target.constraint != nullptr) target.constraint->accept(verdict.token);
  }
  target.sampler.rollback(out.n_accepted);
  if (target.constraint != nullptr) target.constraint->rollback(out.n_accepted);
  return out;
}

}  // namespace foretoken::engine
