// Drafts by the model's own MTP head, one token after the other: each step reads the hidden row the
// last one left and the token drafted with it.
//
// Sequences that draft at the same time go in step: one pass of the head for all of them, and one
// reading of its output rows, position by position; who has enough leaves. The draft vocabulary is
// theirs together. Source: docs/mtp.md, "Drafts of several sequences".
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
  void propose(std::span<DraftTask* const> tasks, CostTable& costs) override;

 private:
  class Walk;
  void score(std::span<Walk* const> going, std::span<const float> hidden);
  void step(std::span<Walk* const> going, Batch& batch);

  const Engine& engine_;
  DraftVocabulary vocabulary_;
  std::vector<float> rows_;    // h' of the sequences whose next token is due, if not of all
  std::vector<float> logits_;  // [those, rows of the vocabulary]
};

}  // namespace foretoken::engine
