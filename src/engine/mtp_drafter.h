// Drafts by the model's own MTP head, one token after the other: each step reads the hidden row the
// last one left and the token drafted with it.
#pragma once

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
  Draft propose(Session& session, TokenId last, int n_max, sampling::Sampler& sampler,
                const DraftGate& gate) override;

 private:
  const Engine& engine_;
  DraftVocabulary vocabulary_;
  std::vector<float> logits_;
};

}  // namespace foretoken::engine
