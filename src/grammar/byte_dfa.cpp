// See byte_dfa.h.
#include "grammar/byte_dfa.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/error.h"

namespace foretoken::grammar {
namespace {

constexpr std::size_t kMaxRows = 4096;

/// Builds rows from the last byte of a character to its first; equal rows are shared.
class ClassBuilder {
 public:
  ByteDfa build(const CharRanges& ranges) {
    // UTF-8 spells a character in the shortest way only: each length has its own stretch.
    struct Length {
      char32_t first, last;
      unsigned lead_first, lead_last, lead_bits;
      unsigned n_following;
    };
    static constexpr std::array<Length, 4> kLengths = {{{0, 0x7F, 0x00, 0x7F, 0x7F, 0},
                                                        {0x80, 0x7FF, 0xC2, 0xDF, 0x1F, 1},
                                                        {0x800, 0xFFFF, 0xE0, 0xEF, 0x0F, 2},
                                                        {0x10000, kLastChar, 0xF0, 0xF4, 0x07, 3}}};
    dfa_.rows.emplace_back();  // state 0
    ByteDfa::Row first;
    first.fill(ByteDfa::kFail);
    for (const Length& length : kLengths) {
      const CharRanges here = intersection(ranges, {{length.first, length.last}});
      if (here.empty()) continue;
      for (unsigned lead = length.lead_first; lead <= length.lead_last; ++lead) {
        const char32_t base = (lead & length.lead_bits) << (6 * length.n_following);
        first[lead] = state_for(here, base, length.n_following);
      }
    }
    dfa_.rows[0] = first;
    dfa_.key = class_key(ranges);
    return std::move(dfa_);
  }

 private:
  /// The state in which `n_following` more bytes choose among the characters from `base` on.
  std::uint16_t state_for(const CharRanges& ranges, char32_t base, unsigned n_following) {
    const char32_t last = base + (char32_t{1} << (6 * n_following)) - 1;
    const auto at = std::ranges::lower_bound(ranges, base, {}, &CharRange::last);
    if (at == ranges.end() || at->first > last) return ByteDfa::kFail;
    if (n_following == 0) return ByteDfa::kDone;
    const bool all = at->first <= base && at->last >= last;
    if (all && full_[n_following] != 0) return full_[n_following];
    ByteDfa::Row row;
    row.fill(ByteDfa::kFail);
    for (unsigned i = 0; i < 64; ++i) {
      const char32_t part = base + (char32_t{i} << (6 * (n_following - 1)));
      row[0x80 + i] = state_for(ranges, part, n_following - 1);
    }
    const std::uint16_t state = share(row);
    if (all) full_[n_following] = state;
    return state;
  }

  std::uint16_t share(const ByteDfa::Row& row) {
    const auto [found, is_new] =
        known_.try_emplace(row, static_cast<std::uint16_t>(dfa_.rows.size()));
    if (is_new) {
      if (dfa_.rows.size() >= kMaxRows) {
        throw RequestError("a character class of the grammar has too many gaps; simplify it");
      }
      dfa_.rows.push_back(row);
    }
    return found->second;
  }

  ByteDfa dfa_;
  std::array<std::uint16_t, 4> full_{};  // states that allow every following byte; 0: not made
  std::map<ByteDfa::Row, std::uint16_t> known_;
};

}  // namespace

std::string class_key(const CharRanges& ranges) {
  std::string key = "class ";
  for (const CharRange& range : ranges) {
    key += fmt::format("{:x}-{:x},", static_cast<unsigned>(range.first),
                       static_cast<unsigned>(range.last));
  }
  return key;
}

std::string until_key(std::string_view delimiter) { return "until " + std::string(delimiter); }

ByteDfa make_class_dfa(const CharRanges& ranges) { return ClassBuilder().build(ranges); }

ByteDfa make_until_dfa(std::string_view delimiter) {
  ByteDfa dfa;
  dfa.rows.resize(delimiter.size());
  std::size_t border = 0;  // state after delimiter[1..n)
  for (std::size_t n = 0; n < delimiter.size(); ++n) {
    const auto byte = static_cast<unsigned char>(delimiter[n]);
    if (n == 0) {
      dfa.rows[0].fill(0);
    } else {
      dfa.rows[n] = dfa.rows[border];
      border = dfa.rows[border][byte];
    }
    dfa.rows[n][byte] =
        n + 1 == delimiter.size() ? ByteDfa::kDone : static_cast<std::uint16_t>(n + 1);
  }
  dfa.key = until_key(delimiter);
  return dfa;
}

}  // namespace foretoken::grammar
