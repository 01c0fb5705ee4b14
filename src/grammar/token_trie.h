// A vocabulary prepared for matching: a tree of all tokens' bytes, in which one step rules out
// every token that begins like the one before.
// Source: docs/grammar.md, "Masks".
#pragma once

#include <array>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/token.h"
#include "grammar/byte_dfa.h"
#include "tokenizer/tokenizer.h"

namespace foretoken::grammar {

/// A set of tokens, one bit each.
class TokenSet {
 public:
  TokenSet() = default;
  explicit TokenSet(int n_tokens) : words_((static_cast<std::size_t>(n_tokens) + 63) / 64, 0) {}

  void set(TokenId id) { words_[index(id) / 64] |= std::uint64_t{1} << (index(id) % 64); }
  void remove(TokenId id) { words_[index(id) / 64] &= ~(std::uint64_t{1} << (index(id) % 64)); }
  bool test(TokenId id) const { return (words_[index(id) / 64] >> (index(id) % 64) & 1) != 0; }
  bool any() const;
  /// Adds all of `other`, which must have the same size.
  void add(const TokenSet& other);
  const std::vector<std::uint64_t>& words() const { return words_; }

 private:
  static std::size_t index(TokenId id) { return static_cast<std::size_t>(id); }
  std::vector<std::uint64_t> words_;
};

/// Tokens' bytes as a tree, parents in front of children.
class ByteTree {
 public:
  struct Leaf {
    std::string_view text;
    TokenId id = 0;
  };
  ByteTree() = default;
  /// Leaves sorted by text, texts of 1 to 65534 bytes.
  explicit ByteTree(const std::vector<Leaf>& leaves);

  /// Goes through the tree with a state per node: `step(state, byte)` gives a child's state, and
  /// where `is_dead(state)` the child is left out with all below it. `visit(token, state)` is
  /// called for each token reached.
  template <class State, class Step, class IsDead, class Visit>
  void walk(const State& start, Step&& step, IsDead&& is_dead, Visit&& visit) const {
    std::vector<State> path(depth_ + 1, start);  // [n]: behind n bytes
    for (std::size_t i = 0; i < nodes_.size();) {
      const Node& node = nodes_[i];
      State& here = path[node.depth];
      here = step(path[node.depth - 1u], node.byte);
      if (is_dead(here)) {
        i = node.end;
        continue;
      }
      ++i;
      const std::size_t tokens_end = i < nodes_.size() ? nodes_[i].tokens : tokens_.size();
      for (std::size_t t = node.tokens; t < tokens_end; ++t) visit(tokens_[t], here);
    }
  }

  std::size_t n_nodes() const { return nodes_.size(); }

 private:
  struct Node {
    std::uint32_t end = 0;     // index behind the last node below
    std::uint32_t tokens = 0;  // index of its first token; its last is before the next node's first
    std::uint16_t depth = 0;   // bytes from the root, this one included
    unsigned char byte = 0;
  };
  std::vector<Node> nodes_;
  std::vector<TokenId> tokens_;
  std::size_t depth_ = 0;
};

/// Which tokens an automaton gets through without failing: known once, every state of every grammar
/// that contains such a run needs to look only at the others.
struct Survivors {
  TokenSet all;
  /// The same, by how many characters the token begins, ascending; only for what repeats.
  std::vector<std::pair<std::uint16_t, TokenId>> by_chars;
  ByteTree others;
};

class TokenTrie {
 public:
  /// Longest token that is looked at; longer ones match nothing.
  static constexpr std::size_t kMaxTokenBytes = 4096;

  explicit TokenTrie(const tokenizer::Tokenizer& tokenizer);

  const tokenizer::Tokenizer& tokenizer() const { return tokenizer_; }
  int n_vocab() const { return n_vocab_; }
  /// The bytes a token stands for in text; nothing for control tokens, ends and padding.
  std::string_view text(TokenId id) const {
    return text_tokens_.test(id) ? tokenizer_.piece(id) : std::string_view();
  }
  const ByteTree& tree() const { return tree_; }
  bool has_byte_token(unsigned char byte) const { return byte_tokens_[byte]; }
  const std::vector<TokenId>& end_tokens() const { return end_tokens_; }
  bool ends(TokenId id) const;
  /// All but ends and padding.
  const TokenSet& usable() const { return usable_; }

  /// Tokens that `dfa` survives from `state`: it never fails, and is done (before or at the last
  /// byte) only if it `repeats`, beginning again in state 0. Computed once, then shared; safe from
  /// several threads.
  std::shared_ptr<const Survivors> survivors(const ByteDfa& dfa, std::uint16_t state,
                                             bool repeats) const;

 private:
  std::shared_ptr<const Survivors> find_survivors(const ByteDfa& dfa, std::uint16_t state,
                                                  bool repeats) const;

  const tokenizer::Tokenizer& tokenizer_;
  int n_vocab_ = 0;
  TokenSet text_tokens_;
  TokenSet usable_;
  std::vector<TokenId> end_tokens_;
  std::array<bool, 256> byte_tokens_{};
  std::vector<ByteTree::Leaf> leaves_;
  ByteTree tree_;

  mutable std::mutex mutex_;
  mutable std::list<std::pair<std::string, std::shared_ptr<const Survivors>>> known_;
};

}  // namespace foretoken::grammar
