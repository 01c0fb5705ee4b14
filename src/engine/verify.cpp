#include "engine/verify.h"

#include <chrono>

#include "sampling/select.h"

namespace foretoken::engine {

Verification verify(Session& session, TokenId last, const Draft& draft,
                    sampling::Sampler& sampler) {
  const auto start = std::chrono::steady_clock::now();
  std::vector<TokenId> tokens{last};
  tokens.insert(tokens.end(), draft.tokens.begin(), draft.tokens.end());
  const std::span<const float> logits = session.run(tokens);
  const std::size_t n_vocab = logits.size() / tokens.size();
  Verification out;
  for (std::size_t row = 0; row < tokens.size(); ++row) {
    out.laws.push_back(sampler.distribution(logits.subspan(row * n_vocab, n_vocab)));
    if (row < draft.tokens.size()) sampler.accept(draft.tokens[row]);
  }
  sampler.rollback(static_cast<int>(draft.tokens.size()));
  out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return out;
}

}  // namespace foretoken::engine
