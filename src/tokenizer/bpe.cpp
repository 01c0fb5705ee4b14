#include "tokenizer/bpe.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <queue>
#include <string>

#include "base/error.h"
#include "base/text.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/spelling_index.h"
#include "tokenizer/token_table.h"
#include "tokenizer/utf8.h"
#include "tokenizer/vocabulary.h"

namespace foretoken::tokenizer {
namespace {

// Up to this many bytes a scan over all pairs beats the heap (bench/tokenizer_bench.cpp).
constexpr int kShortBits = 7;
constexpr std::size_t kMaxShort = std::size_t{1} << kShortBits;

/// Tokens that merging can produce.
SpellingIndex index_spellings(const Vocabulary& vocabulary, const TokenTable& tokens) {
  SpellingIndex index(vocabulary.spellings);
  for (TokenId id = 0; id < tokens.size(); ++id) {
    if (is_added(tokens.kind(id))) continue;
    const std::string& spelling = vocabulary.spellings[static_cast<std::size_t>(id)];
    const TokenId other = index.find(spelling);
    if (other < 0 || tokens.kind(other) == TokenKind::Unused) {
      index.set(id);
    } else if (tokens.kind(id) != TokenKind::Unused) {
      throw FormatError(fmt::format("{}: {}[{}] and [{}] are both {}", vocabulary.file,
                                    vocabulary.tokens_key, other, id, foretoken::quoted(spelling)));
    }
  }
  return index;
}

/// The number of rules, once it and the number of tokens are known to fit.
std::size_t checked_n_rules(const Vocabulary& vocabulary) {
  if (vocabulary.spellings.size() > MergeTable::kMaxIds ||
      vocabulary.merges.size() > MergeTable::kMaxRules) {
    throw UnsupportedError(
        fmt::format("{}: {} tokens and {} merges; at most {} and {} are supported", vocabulary.file,
                    vocabulary.spellings.size(), vocabulary.merges.size(), MergeTable::kMaxIds,
                    MergeTable::kMaxRules));
  }
  return vocabulary.merges.size();
}

}  // namespace

Bpe::Bpe(const Vocabulary& vocabulary, const TokenTable& tokens)
    : byte_ranks_(256 * 256), merges_(checked_n_rules(vocabulary)) {
  const SpellingIndex index = index_spellings(vocabulary, tokens);
  for (unsigned byte = 0; byte < 256; ++byte) {
    std::string symbol;
    append_utf8(symbol, byte_symbol(static_cast<unsigned char>(byte)));
    byte_ids_[byte] = index.find(symbol);
    if (byte_ids_[byte] < 0) {
      throw FormatError(fmt::format("{}: {} has no token for byte 0x{:02X} (\"{}\")",
                                    vocabulary.file, vocabulary.tokens_key, byte, symbol));
    }
  }

  std::string whole;
  for (std::size_t rank = 0; rank < vocabulary.merges.size(); ++rank) {
    const MergeRule& rule = vocabulary.merges[rank];
    const auto require = [&](std::string_view spelling) {
      const TokenId id = index.find(spelling);
      if (id >= 0) return id;
      throw FormatError(fmt::format("{}: {}[{}] is {}, but {} is not in {}", vocabulary.file,
                                    vocabulary.merges_key, rank, foretoken::quoted(rule.text),
                                    foretoken::quoted(spelling), vocabulary.tokens_key));
    };
    whole.assign(rule.left()).append(rule.right());
    const TokenId result = require(whole);
    if (!merges_.add(require(rule.left()), require(rule.right()), result)) {
      throw FormatError(fmt::format("{}: {}[{}], {}, repeats an earlier rule", vocabulary.file,
                                    vocabulary.merges_key, rank, foretoken::quoted(rule.text)));
    }
  }
  for (std::size_t pair = 0; pair < byte_ranks_.size(); ++pair) {
    byte_ranks_[pair] = merges_.find_rank(byte_ids_[pair >> 8], byte_ids_[pair & 255]);
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
  std::array<std::uint32_t, kMaxShort> ranks;  // ranks[i]: of merging ids[i] and ids[i + 1]
  std::size_t n = piece.size();
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(piece[i]); };
  for (std::size_t i = 0; i < n; ++i) ids[i] = byte_ids_[byte(i)];
  for (std::size_t i = 0; i + 1 < n; ++i) {
    ranks[i] = byte_ranks_[static_cast<std::size_t>(byte(i)) << 8 | byte(i + 1)];
  }
  while (n > 1) {
    // Rank above, position below: the smallest is the leftmost of the lowest rank.
    static_assert(MergeTable::kRankBits + kShortBits <= 32);
    std::uint32_t best = UINT32_MAX;
    for (std::uint32_t i = 0; i + 1 < n; ++i) best = std::min(best, ranks[i] << kShortBits | i);
    const std::uint32_t rank = best >> kShortBits;
    if (rank == MergeTable::kNoRank) break;
    const std::size_t at = best & (kMaxShort - 1);
    ids[at] = merges_.result(rank);
    --n;
    for (std::size_t i = at + 1; i < n; ++i) {
      ids[i] = ids[i + 1];
      ranks[i - 1] = ranks[i];
    }
    if (at + 1 < n) ranks[at] = merges_.find_rank(ids[at], ids[at + 1]);
    if (at > 0) ranks[at - 1] = merges_.find_rank(ids[at - 1], ids[at]);
  }
  out.insert(out.end(), ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(n));
}

void Bpe::encode_long(std::string_view piece, std::vector<TokenId>& out) const {
  constexpr std::uint32_t kNone = UINT32_MAX;
  struct Symbol {
    TokenId id;  // -1: merged into a symbol on the left
    std::uint32_t previous;
    std::uint32_t next;
  };
  struct Candidate {
    std::uint32_t rank;
    std::uint32_t left;
    TokenId left_id;   // what stood there when the candidate was made; if that has changed,
    TokenId right_id;  // the candidate is void
    bool operator<(const Candidate& other) const {  // the queue yields its greatest
      return rank != other.rank ? rank > other.rank : left > other.left;
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
    return Candidate{merges_.find_rank(left_id, right_id), left, left_id, right_id};
  };
  for (std::uint32_t i = 0; i + 1 < n; ++i) {
    if (const auto c = candidate(i); c.rank != MergeTable::kNoRank) initial.push_back(c);
  }
  std::priority_queue<Candidate> queue({}, std::move(initial));
  const auto push = [&](std::uint32_t left) {
    if (const auto c = candidate(left); c.rank != MergeTable::kNoRank) queue.push(c);
  };
  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    Symbol& left = symbols[top.left];
    if (left.id != top.left_id || left.next == kNone) continue;
    Symbol& right = symbols[left.next];
    if (right.id != top.right_id) continue;
    left.id = merges_.result(top.rank);
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
