// Drafts by the model's own MTP head, one token after the other: each step reads the hidden row the
// last one left and the token drafted with it.
#pragma once

#include <memory>
#include <vector>

#include "engine/draft.h"
#include "engine/draft_vocabulary.h"

namespace foretoken::engine {

class MtpDrafter final : public Drafter {
 public:
  /// `n_frequent`: rows of the draft vocabulary, 0 for the full head. Requires an engine with a
  /// head.
  MtpDrafter(const Engine& engine, int n_frequent);

  void observe(TokenId token) override { vocabulary_.add(token); }
  Draft propose(Session& session, const DraftRequest& request, sampling::Sampler& sampler,
                const DraftGate& gate) override;
  std::unique_ptr<Drafter> fresh() const override;

 private:
  MtpDrafter(const Engine& engine, std::shared_ptr<const DraftVocabulary> frequent);
  sampling::Distribution law_of(const DraftRequest& request, sampling::Sampler& sampler);

  const Engine& engine_;
  std::shared_ptr<const DraftVocabulary> frequent_;  // before any text
  DraftVocabulary vocabulary_;
  std::vector<float> logits_;
};

}  // namespace foretoken::engine
