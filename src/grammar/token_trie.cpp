// See token_trie.h.
#include "grammar/token_trie.h"

#include <fmt/format.h>

#include <algorithm>

#include "grammar/constraints.h"
#include "grammar/json_rules.h"
#include "grammar/tool_calls.h"

namespace foretoken::grammar {
namespace {

// JSON's strings, parameters' texts and a few classes of one's own; each costs about 100 KiB.
constexpr std::size_t kMaxKnown = 48;

}  // namespace

bool TokenSet::any() const {
  return std::ranges::any_of(words_, [](std::uint64_t word) { return word != 0; });
}

void TokenSet::add(const TokenSet& other) {
  for (std::size_t i = 0; i < words_.size(); ++i) words_[i] |= other.words_[i];
}

ByteTree::ByteTree(const std::vector<Leaf>& leaves) {
  std::vector<std::uint32_t> path;  // nodes from the root to the last leaf
  std::string_view last;
  const auto close = [&](std::size_t depth) {
    for (; path.size() > depth; path.pop_back()) {
      nodes_[path.back()].end = static_cast<std::uint32_t>(nodes_.size());
    }
  };
  for (const Leaf& leaf : leaves) {
    const auto [in_last, in_leaf] = std::ranges::mismatch(last, leaf.text);
    close(static_cast<std::size_t>(in_leaf - leaf.text.begin()));
    while (path.size() < leaf.text.size()) {
      Node node;
      node.byte = static_cast<unsigned char>(leaf.text[path.size()]);
      node.depth = static_cast<std::uint16_t>(path.size() + 1);
      node.tokens = static_cast<std::uint32_t>(tokens_.size());
      path.push_back(static_cast<std::uint32_t>(nodes_.size()));
      nodes_.push_back(node);
    }
    tokens_.push_back(leaf.id);
    depth_ = std::max(depth_, leaf.text.size());
    last = leaf.text;
  }
  close(0);
}

TokenTrie::TokenTrie(const tokenizer::Tokenizer& tokenizer)
    : tokenizer_(tokenizer),
      n_vocab_(tokenizer.n_vocab()),
      text_tokens_(tokenizer.n_vocab()),
      usable_(tokenizer.n_vocab()) {
  for (TokenId id = 0; id < tokenizer.n_real_vocab(); ++id) {
    if (tokenizer.is_end_of_generation(id)) {
      end_tokens_.push_back(id);
      continue;
    }
    usable_.set(id);
    const tokenizer::TokenKind kind = tokenizer.kind(id);
    const std::string_view text = tokenizer.piece(id);
    const bool is_text =
        kind == tokenizer::TokenKind::Normal || kind == tokenizer::TokenKind::UserDefined;
    if (!is_text || text.empty() || text.size() > kMaxTokenBytes) continue;
    text_tokens_.set(id);
    leaves_.push_back({text, id});
    if (text.size() == 1) byte_tokens_[static_cast<unsigned char>(text[0])] = true;
  }
  std::ranges::sort(leaves_, {}, &ByteTree::Leaf::text);
  tree_ = ByteTree(leaves_);
}

bool TokenTrie::ends(TokenId id) const {
  return std::ranges::find(end_tokens_, id) != end_tokens_.end();
}

std::shared_ptr<const Survivors> TokenTrie::survivors(const ByteDfa& dfa, std::uint16_t state,
                                                      bool repeats) const {
  const std::string key = fmt::format("{} {} {}", state, repeats, dfa.key);
  const auto find = [&]() -> std::shared_ptr<const Survivors> {
    const auto found =
        std::ranges::find(known_, key, [](const auto& known) { return known.first; });
    if (found == known_.end()) return nullptr;
    known_.splice(known_.begin(), known_, found);
    return known_.front().second;
  };
  {
    const std::lock_guard lock(mutex_);
    if (auto known = find()) return known;
  }
  auto made = find_survivors(dfa, state, repeats);
  const std::lock_guard lock(mutex_);
  if (auto known = find()) return known;
  known_.emplace_front(key, made);
  if (known_.size() > kMaxKnown) known_.pop_back();
  return made;
}

std::shared_ptr<const Survivors> TokenTrie::find_survivors(const ByteDfa& dfa, std::uint16_t state,
                                                           bool repeats) const {
  struct Progress {
    std::uint16_t state;
    std::uint16_t n_chars;
    bool begins;  // the next byte begins a character
  };
  auto found = std::make_shared<Survivors>();
  found->all = TokenSet(n_vocab_);
  tree_.walk(
      Progress{state, 0, true},
      [&](const Progress& before, unsigned char byte) {
        const std::uint16_t next = dfa.rows[before.state][byte];
        const auto n_chars = static_cast<std::uint16_t>(before.n_chars + (before.begins ? 1 : 0));
        if (next != ByteDfa::kDone) return Progress{next, n_chars, false};
        return Progress{repeats ? std::uint16_t{0} : ByteDfa::kFail, n_chars, true};
      },
      [](const Progress& progress) { return progress.state == ByteDfa::kFail; },
      [&](TokenId id, const Progress& progress) {
        found->all.set(id);
        if (repeats) found->by_chars.emplace_back(progress.n_chars, id);
      });
  std::ranges::sort(found->by_chars);
  std::vector<ByteTree::Leaf> others;
  for (const ByteTree::Leaf& leaf : leaves_) {
    if (!found->all.test(leaf.id)) others.push_back(leaf);
  }
  found->others = ByteTree(others);
  return found;
}

std::shared_ptr<const TokenTrie> make_token_trie(const tokenizer::Tokenizer& tokenizer) {
  auto trie = std::make_shared<const TokenTrie>(tokenizer);
  // What nearly every document and call needs is found now rather than in somebody's first reply.
  const ByteDfa string_char = make_class_dfa(json_plain_chars());
  trie->survivors(string_char, 0, true);
  const ByteDfa argument = make_until_dfa(kEndOfArgument);
  for (std::size_t state = 0; state < argument.rows.size(); ++state) {
    trie->survivors(argument, static_cast<std::uint16_t>(state), false);
  }
  return trie;
}

}  // namespace foretoken::grammar
