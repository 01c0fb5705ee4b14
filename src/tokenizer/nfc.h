// Unicode normalisation form C, at the cost of a table look-up per character where nothing changes.
//
// A character is inert when it is normalised by itself, never reorders and never joins the
// character before it. A text of inert characters is in NFC, and normalisation never crosses the
// border in front of one. So only the stretches around the others go through the full algorithm.
// Source: Unicode Standard Annex #15, sections 9 and 13; data and composition from utf8proc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace foretoken::tokenizer {

/// Immutable and thread-safe.
class Nfc {
 public:
  Nfc();

  bool is_inert(char32_t code) const {
    return code < kFirstNotInert || ((inert_[code >> 6] >> (code & 63)) & 1) != 0;
  }
  /// The NFC form of valid UTF-8. Time is O(n log n) for any input.
  std::string normalize(std::string_view text) const;

 private:
  static constexpr char32_t kFirstNotInert = 0x300;
  std::vector<std::uint64_t> inert_;  // one bit per character
};

}  // namespace foretoken::tokenizer
