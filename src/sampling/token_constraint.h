// What a reply may be, token by token: a grammar, a tool call's syntax, an end to thinking. The
// sampler's law is the model's law over the tokens a constraint allows, mask first, then the chain
// of filters. Drafts go through the same constraint, so a constraint never turns speculation off.
#pragma once

#include <span>
#include <vector>

#include "base/token.h"

namespace foretoken::sampling {

/// One reply's constraint and where the reply stands in it. Not thread safe; one per sequence.
class TokenConstraint {
 public:
  virtual ~TokenConstraint() = default;

  /// False while every token is allowed (a grammar that waits for its trigger): nothing needs to be
  /// asked then, but accept and rollback still have to be called.
  virtual bool restricts() const = 0;

  /// Whether the reply may go on with `token` (end-of-generation tokens included: they are allowed
  /// where the reply may end). Must be fast: asked for each candidate of a filtered distribution.
  virtual bool allows(TokenId token) = 0;

  /// Sets logits[i] to minus infinity where token i is not allowed. logits [n_vocab]. At least one
  /// token always stays allowed: a constraint that is complete allows the end of generation.
  virtual void mask(std::span<float> logits) = 0;

  /// The reply went on with `token`. A token that is not allowed (a draft the target would refuse)
  /// leads to a state where nothing but the end is allowed, and is undone by rollback.
  virtual void accept(TokenId token) = 0;

  /// Takes back the last n accepted tokens. At least as many as one verification takes must be
  /// kept (kMaxRollback).
  virtual void rollback(int n) = 0;
  static constexpr int kMaxRollback = 16;

  /// Tokens that would follow if text that admits no alternative is spelled in the usual way, at
  /// most n: free drafts. Empty when there is a choice. A guess, verified like any draft.
  virtual std::vector<TokenId> forced(int n) = 0;
};

}  // namespace foretoken::sampling
