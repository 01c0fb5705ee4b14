#include "tokenizer/nfc.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <span>

#include "base/error.h"
#include "tokenizer/utf8.h"

namespace foretoken::tokenizer {
namespace {

constexpr char32_t kNumCodes = 0x110000;
// Longest canonical decomposition of one character is 4 (U+1F82 and its like).
constexpr std::size_t kMaxDecomposition = 16;

bool is_surrogate(char32_t code) { return code >= 0xD800 && code < 0xE000; }

/// Full canonical decomposition of one character, in canonical order.
std::span<const utf8proc_int32_t> decompose(
    char32_t code, std::array<utf8proc_int32_t, kMaxDecomposition>& buffer) {
  int boundary = 0;
  const utf8proc_ssize_t n =
      utf8proc_decompose_char(static_cast<utf8proc_int32_t>(code), buffer.data(), kMaxDecomposition,
                              UTF8PROC_DECOMPOSE, &boundary);
  if (n < 0 || static_cast<std::size_t>(n) > buffer.size()) return {};
  return {buffer.data(), static_cast<std::size_t>(n)};
}

int combining_class(utf8proc_int32_t code) { return utf8proc_get_property(code)->combining_class; }

/// Appends the NFC form of `text`. utf8proc's own decomposition sorts marks by insertion, which a
/// long run of marks makes quadratic; hence the sort here.
void append_normalized(std::string& out, std::string_view text) {
  std::vector<utf8proc_int32_t> codes;
  codes.reserve(text.size());
  std::array<utf8proc_int32_t, kMaxDecomposition> buffer;
  for (std::size_t pos = 0; pos < text.size();) {
    const Utf8Step step = utf8_step(text, pos);
    const auto parts = decompose(step.code, buffer);
    codes.insert(codes.end(), parts.begin(), parts.end());
    pos += step.length;
  }
  for (std::size_t i = 0; i < codes.size();) {
    std::size_t end = i;
    while (end < codes.size() && combining_class(codes[end]) != 0) ++end;
    std::stable_sort(codes.begin() + static_cast<std::ptrdiff_t>(i),
                     codes.begin() + static_cast<std::ptrdiff_t>(end),
                     [](auto a, auto b) { return combining_class(a) < combining_class(b); });
    i = end + 1;
  }
  const utf8proc_ssize_t n =
      utf8proc_normalize_utf32(codes.data(), static_cast<utf8proc_ssize_t>(codes.size()),
                               static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  if (n < 0) throw RequestError(std::string("cannot normalise text: ") + utf8proc_errmsg(n));
  codes.resize(static_cast<std::size_t>(n));
  for (const auto code : codes) append_utf8(out, static_cast<char32_t>(code));
}

}  // namespace

Nfc::Nfc() : inert_(kNumCodes / 64, ~std::uint64_t{0}) {
  const auto clear = [&](char32_t code) {
    inert_[code >> 6] &= ~(std::uint64_t{1} << (code & 63));
  };
  std::array<utf8proc_int32_t, kMaxDecomposition> buffer;
  for (char32_t code = 0; code < kNumCodes; ++code) {
    if (is_surrogate(code)) continue;
    const auto* property = utf8proc_get_property(static_cast<utf8proc_int32_t>(code));
    if (property->combining_class != 0) clear(code);
    const bool hangul_syllable = code >= 0xAC00 && code <= 0xD7A3;
    // 0xFFFF: the property table's mark for "no decomposition".
    if (property->decomp_seqindex == UINT16_MAX && !hangul_syllable) continue;
    const auto parts = decompose(code, buffer);
    // Whatever stands behind the first place of some decomposition may join what precedes it.
    for (std::size_t i = 1; i < parts.size(); ++i) clear(static_cast<char32_t>(parts[i]));
    if (parts.size() == 1 && static_cast<char32_t>(parts[0]) == code) continue;
    std::string composed;
    std::string itself;
    append_utf8(itself, code);
    if (!hangul_syllable) append_normalized(composed, itself);
    if (!hangul_syllable && composed != itself) clear(code);
  }
}

std::string Nfc::normalize(std::string_view text) const {
  std::string out;
  out.reserve(text.size());
  std::size_t copied = 0;      // text[0, copied) has been written to `out`
  std::size_t last_inert = 0;  // start of the latest inert character
  for (std::size_t pos = 0; pos < text.size();) {
    const Utf8Step step = utf8_step(text, pos);
    if (is_inert(step.code)) {
      last_inert = pos;
      pos += step.length;
      continue;
    }
    const std::size_t begin = std::max(copied, last_inert);
    std::size_t end = pos;
    while (end < text.size()) {
      const Utf8Step next = utf8_step(text, end);
      if (is_inert(next.code)) break;
      end += next.length;
    }
    out.append(text, copied, begin - copied);
    append_normalized(out, text.substr(begin, end - begin));
    copied = last_inert = pos = end;
  }
  out.append(text, copied);
  return out;
}

}  // namespace foretoken::tokenizer
