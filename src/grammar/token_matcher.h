// A matcher over tokens: which tokens may follow a state, and where they lead.
// Source: docs/grammar.md, "Masks".
#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <span>
#include <string>

#include "grammar/matcher.h"
#include "grammar/token_trie.h"

namespace foretoken::grammar {

/// Knows nothing of ends of generation except that they are no text. Not thread safe; throws as
/// Matcher.
class TokenMatcher {
 public:
  TokenMatcher(std::shared_ptr<const TokenTrie> trie, Program program)
      : trie_(std::move(trie)), matcher_(std::move(program)) {}

  StateId start(std::size_t entry) { return matcher_.start(entry); }
  StateId advance(StateId state, std::string_view bytes) { return matcher_.advance(state, bytes); }
  /// Behind a token; kDead when it is not allowed.
  StateId accept(StateId state, TokenId token);
  bool allows(StateId state, TokenId token) { return accept(state, token) != Matcher::kDead; }
  /// All allowed tokens; valid until the next call of a function of this class.
  const TokenSet& allowed(StateId state);

  bool complete(StateId state) const { return matcher_.complete(state); }
  /// No token can follow.
  bool is_stuck(StateId state);
  /// The text that must follow, as far as there is no choice, at most n bytes; `open` says whether
  /// more text than that may follow.
  struct Forced {
    std::string text;
    bool open = false;
  };
  Forced forced_text(StateId state, std::size_t n);

  /// Keeps memory bounded: called now and then with all states still needed, whose numbers change.
  void tidy(std::span<StateId* const> live);

 private:
  struct Known {
    StateId state;
    TokenSet tokens;
  };
  TokenSet find_allowed(StateId state);
  const ByteTree& add_run(StateId state, TokenSet& tokens);
  void add_named(StateId state, TokenSet& tokens) const;

  std::shared_ptr<const TokenTrie> trie_;
  Matcher matcher_;
  std::shared_ptr<const Survivors> run_;  // of the walk in progress
  std::list<Known> known_;                // most recently used first
};

}  // namespace foretoken::grammar
