// Small automata over bytes: one character of a class in UTF-8, or everything up to a delimiter.
// A grammar's terminals are these, so that the matcher works on bytes and a token may cut a
// character anywhere.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/rules.h"

namespace foretoken::grammar {

/// States 0, 1, ...; a class begins in 0.
struct ByteDfa {
  static constexpr std::uint16_t kFail = 0xFFFF;
  static constexpr std::uint16_t kDone = 0xFFFE;  ///< matched, this byte included
  using Row = std::array<std::uint16_t, 256>;

  std::vector<Row> rows;  ///< [state][byte]: next state, kFail or kDone
  std::string key;        ///< equal for equal automata
};

std::string class_key(const CharRanges& ranges);
std::string until_key(std::string_view delimiter);

/// One character of `ranges` (normalized), in well-formed UTF-8. Throws RequestError for a class so
/// ragged that it needs more than a few thousand states.
/// Its key is class_key(ranges).
ByteDfa make_class_dfa(const CharRanges& ranges);

/// Any bytes until `delimiter` (1 to 1000 bytes) has been seen. State n: the last n bytes are its
/// first n (Knuth, Morris, Pratt 1977). Beginning in state n counts n bytes as seen.
/// Its key is until_key(delimiter).
ByteDfa make_until_dfa(std::string_view delimiter);

}  // namespace foretoken::grammar
