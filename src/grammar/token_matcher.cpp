// See token_matcher.h.
#include "grammar/token_matcher.h"

#include <algorithm>

namespace foretoken::grammar {
namespace {

constexpr std::size_t kMaxKnown = 64;
// A run that takes fewer different bytes than this prunes the walk by itself.
constexpr std::size_t kWideRun = 96;
constexpr std::size_t kLongRun = 256;
// Ways looked at for one question: half a second at most. Documents and calls need some thousands.
constexpr std::size_t kMaxWork = 1'000'000;
// Walking the whole tree costs as much as this many single tokens.
constexpr std::ptrdiff_t kMaxSingles = 4096;

}  // namespace

StateId TokenMatcher::accept(StateId state, TokenId token) {
  matcher_.limit_work(kMaxWork);
  const std::string_view text = trie_->text(token);
  const StateId by_text = text.empty() ? Matcher::kDead : matcher_.advance(state, text);
  if (!matcher_.wants_token(state)) return by_text;
  return matcher_.join(by_text, matcher_.advance_token(state, token, !trie_->usable().test(token)));
}

const TokenSet& TokenMatcher::allowed(StateId state) {
  const auto found = std::ranges::find(known_, state, &Known::state);
  if (found != known_.end()) {
    known_.splice(known_.begin(), known_, found);
  } else {
    known_.push_front({state, find_allowed(state)});
    if (known_.size() > kMaxKnown) known_.pop_back();
  }
  return known_.front().tokens;
}

TokenSet TokenMatcher::find_allowed(StateId state) {
  matcher_.limit_work(kMaxWork);
  TokenSet tokens(trie_->n_vocab());
  const ByteTree& rest = add_run(state, tokens);
  rest.walk(
      state, [&](StateId before, unsigned char byte) { return matcher_.advance(before, byte); },
      [](StateId here) { return here == Matcher::kDead; },
      [&](TokenId id, StateId) { tokens.set(id); });
  if (matcher_.wants_token(state)) add_named(state, tokens);
  return tokens;
}

/// Adds the tokens that stay inside a free text, and returns the tree of those still to be tried.
const ByteTree& TokenMatcher::add_run(StateId state, TokenSet& tokens) {
  const auto run = matcher_.find_run(state, kLongRun, kWideRun);
  if (!run) return trie_->tree();
  const auto survivors = trie_->survivors(*run->dfa, run->dfa_state, run->repeats);
  const auto too_long =
      !run->repeats ? survivors->by_chars.end()
                    : std::ranges::upper_bound(survivors->by_chars, run->n_chars, {},
                                               [](const auto& entry) { return entry.first; });
  const bool all = too_long == survivors->by_chars.end();
  if (!all && !run->exact && survivors->by_chars.end() - too_long > kMaxSingles) {
    return trie_->tree();
  }
  if (all) {
    tokens.add(survivors->all);
  } else {
    for (auto it = survivors->by_chars.begin(); it < too_long; ++it) tokens.set(it->second);
    for (auto it = too_long; !run->exact && it != survivors->by_chars.end(); ++it) {
      if (matcher_.advance(state, trie_->text(it->second)) != Matcher::kDead)
        tokens.set(it->second);
    }
  }
  run_ = survivors;  // keeps its tree alive
  return survivors->others;
}

void TokenMatcher::add_named(StateId state, TokenSet& tokens) const {
  const Matcher::NamedTokens named = matcher_.named_tokens(state);
  for (const TokenId id : named.wanted) tokens.set(id);
  if (named.refused.empty()) return;
  const TokenId refused = named.refused.front();
  const bool one = std::ranges::all_of(named.refused, [&](TokenId id) { return id == refused; });
  const bool was_set = tokens.test(refused);
  tokens.add(trie_->usable());
  if (one && !was_set) tokens.remove(refused);
}

bool TokenMatcher::is_stuck(StateId state) {
  const std::bitset<256>& first = matcher_.first_bytes(state);
  for (std::size_t byte = 0; byte < 256; ++byte) {
    if (first.test(byte) && trie_->has_byte_token(static_cast<unsigned char>(byte))) return false;
  }
  if (first.none() && !matcher_.wants_token(state)) return true;
  return !allowed(state).any();
}

TokenMatcher::Forced TokenMatcher::forced_text(StateId state, std::size_t n) {
  matcher_.limit_work(kMaxWork);
  Forced forced;
  while (true) {
    const std::bitset<256>& first = matcher_.first_bytes(state);
    forced.open = first.any() || matcher_.wants_token(state);
    const bool choice =
        first.count() != 1 || matcher_.complete(state) || matcher_.wants_token(state);
    if (choice || forced.text.size() >= n) return forced;
    std::size_t byte = 0;
    while (!first.test(byte)) ++byte;
    forced.text.push_back(static_cast<char>(byte));
    state = matcher_.advance(state, static_cast<unsigned char>(byte));
  }
}

void TokenMatcher::tidy(std::span<StateId* const> live) {
  if (!matcher_.is_large()) return;
  known_.clear();
  matcher_.compact(live);
}

}  // namespace foretoken::grammar
