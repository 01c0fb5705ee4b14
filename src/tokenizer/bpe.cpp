#include "tokenizer/bpe.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <queue>
#include <string>
#include <unordered_map>

#include "base/error.h"
#include "base/text.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/token_table.h"
#include "tokenizer/utf8.h"
#include "tokenizer/vocabulary.h"

namespace foretoken::tokenizer {
namespace {

// Up to this many bytes a scan over all pairs beats the heap (bench/tokenizer_bench.cpp).
constexpr std::size_t kMaxShort = 64;

using SpellingIndex = std::unordered_map<std::string_view, TokenId>;

/// Ids of the tokens that merging can produce, by spelling.
SpellingIndex index_spellings(const Vocabulary& vocabulary, const TokenTable& tokens) {
  SpellingIndex index;
  index.reserve(vocabulary.spellings.size());
  for (TokenId id = 0; id < tokens.size(); ++id) {
    if (is_added(tokens.kind(id))) continue;
    const std::string& spelling = vocabulary.spellings[static_cast<std::size_t>(id)];
    const auto [place, is_new] = index.emplace(spelling, id);
    if (is_new || tokens.kind(id) == TokenKind::Unused) continue;
    if (tokens.kind(place->second) == TokenKind::Unused) {
      place->second = id;
      continue;
    }
    throw FormatError(fmt::format("{}: {}[{}] and [{}] are both {}", vocabulary.file,
                                  vocabulary.tokens_key, place->second, id,
                                  foretoken::quoted(spelling)));
  }
  return index;
}

}  // namespace

Bpe::Bpe(const Vocabulary& vocabulary, const TokenTable& tokens)
    : merges_(vocabulary.merges.size()) {
  const SpellingIndex index = index_spellings(vocabulary, tokens);
  for (unsigned byte = 0; byte < 256; ++byte) {
    std::string symbol;
    append_utf8(symbol, byte_symbol(static_cast<unsigned char>(byte)));
    const auto found = index.find(symbol);
    if (found == index.end()) {
      throw FormatError(fmt::format("{}: {} has no token for byte 0x{:02X} (\"{}\")",
                                    vocabulary.file, vocabulary.tokens_key, byte, symbol));
    }
    byte_ids_[byte] = found->second;
  }

  std::string whole;
  for (std::size_t rank = 0; rank < vocabulary.merges.size(); ++rank) {
    const MergeRule& rule = vocabulary.merges[rank];
    const auto require = [&](std::string_view spelling) {
      const auto found = index.find(spelling);
      if (found != index.end()) return found->second;
      throw FormatError(fmt::format("{}: {}[{}] is {}, but {} is not in {}", vocabulary.file,
                                    vocabulary.merges_key, rank, foretoken::quoted(rule.text),
                                    foretoken::quoted(spelling), vocabulary.tokens_key));
    };
    whole.assign(rule.left()).append(rule.right());
    const Merge merge{static_cast<std::uint32_t>(rank), require(whole)};
    if (!merges_.add(require(rule.left()), require(rule.right()), merge)) {
      throw FormatError(fmt::format("{}: {}[{}], {}, repeats an earlier rule", vocabulary.file,
                                    vocabulary.merges_key, rank, foretoken::quoted(rule.text)));
    }
  }
}

void Bpe::encode(std::string_view piece, std::vector<TokenId>& out) const {
  if (piece.size() <= kMaxShort) {
    encode_short(piece, out);
  } else {
    encode_long(piece, out);
  }
}

void Bpe::encode_short(std::string_view piece, std::vector<TokenId>& out) const {
  std::array<TokenId, kMaxShort> ids;
  std::array<Merge, kMaxShort> merges;  // merges[i] joins ids[i] and ids[i + 1]
  std::size_t n = piece.size();
  if (n == 0) return;
  for (std::size_t i = 0; i < n; ++i) ids[i] = byte_ids_[static_cast<unsigned char>(piece[i])];
  for (std::size_t i = 0; i + 1 < n; ++i) merges[i] = merges_.find(ids[i], ids[i + 1]);
  while (n > 1) {
    std::size_t best = 0;
    for (std::size_t i = 1; i + 1 < n; ++i) {
      if (merges[i].rank < merges[best].rank) best = i;
    }
    if (merges[best].rank == Merge::kNoRank) break;
    ids[best] = merges[best].id;
    --n;
    std::copy(ids.begin() + best + 2, ids.begin() + n + 1, ids.begin() + best + 1);
    if (best + 1 < n) {
      std::copy(merges.begin() + best + 2, merges.begin() + n, merges.begin() + best + 1);
      merges[best] = merges_.find(ids[best], ids[best + 1]);
    }
    if (best > 0) merges[best - 1] = merges_.find(ids[best - 1], ids[best]);
  }
  out.insert(out.end(), ids.begin(), ids.begin() + n);
}

void Bpe::encode_long(std::string_view piece, std::vector<TokenId>& out) const {
  constexpr std::uint32_t kNone = UINT32_MAX;
  struct Symbol {
    TokenId id;  // -1: merged into a symbol on the left
    std::uint32_t previous;
    std::uint32_t next;
  };
  struct Candidate {
    Merge merge;
    std::uint32_t left;
    TokenId left_id;   // what stood there when the candidate was made; if that has changed,
    TokenId right_id;  // the candidate is void
    bool operator<(const Candidate& other) const {  // the queue yields its greatest
      return merge.rank != other.merge.rank ? merge.rank > other.merge.rank : left > other.left;
    }
  };
  const auto n = static_cast<std::uint32_t>(piece.size());
  std::vector<Symbol> symbols(n);
  std::vector<Candidate> initial;
  for (std::uint32_t i = 0; i < n; ++i) {
    symbols[i] = {byte_ids_[static_cast<unsigned char>(piece[i])], i == 0 ? kNone : i - 1,
                  i + 1 == n ? kNone : i + 1};
  }
  const auto candidate = [&](std::uint32_t left) {
    const TokenId left_id = symbols[left].id;
    const TokenId right_id = symbols[symbols[left].next].id;
    return Candidate{merges_.find(left_id, right_id), left, left_id, right_id};
  };
  for (std::uint32_t i = 0; i + 1 < n; ++i) {
    if (const auto c = candidate(i); c.merge.rank != Merge::kNoRank) initial.push_back(c);
  }
  std::priority_queue<Candidate> queue({}, std::move(initial));
  const auto push = [&](std::uint32_t left) {
    if (const auto c = candidate(left); c.merge.rank != Merge::kNoRank) queue.push(c);
  };
  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    Symbol& left = symbols[top.left];
    if (left.id != top.left_id || left.next == kNone) continue;
    Symbol& right = symbols[left.next];
    if (right.id != top.right_id) continue;
    left.id = top.merge.id;
    right.id = -1;
    left.next = right.next;
    if (left.next != kNone) {
      symbols[left.next].previous = top.left;
      push(top.left);
    }
    if (left.previous != kNone) push(left.previous);
  }
  for (std::uint32_t i = 0; i < n; i = symbols[i].next) {
    out.push_back(symbols[i].id);
    if (symbols[i].next == kNone) break;
  }
}

}  // namespace foretoken::tokenizer
