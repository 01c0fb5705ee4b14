// What the product templates share: walking over strips of tokens, and turning a strip's width into
// a template argument. See matmul_table.h for the shapes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/matmul_table.h"
#include "kernels/cpu/weight_formats.h"

namespace foretoken::kernels {
namespace {

/// First token and number of tokens of a strip.
struct Strip {
  int begin;
  int width;
};

inline Strip strip_at(const Strips& strips, int s) {
  const int n_wide_before = s < strips.n_wide ? s : strips.n_wide;
  return {s * strips.width + n_wide_before, strips.width + (s < strips.n_wide ? 1 : 0)};
}

/// Calls body(Index<width>) for a width of 1 .. V::kStripColumns.
template <class V, int kWidth = V::kStripColumns, class Body>
[[gnu::always_inline]] inline void with_width(int width, Body&& body) {
  if constexpr (kWidth > 0) {
    if (width == kWidth) return body(Index<kWidth>{});
    with_width<V, kWidth - 1>(width, body);
  }
}

/// Streams of whole tiles outrun the hardware prefetchers, which stop at 4 KB pages.
inline constexpr std::size_t kPrefetchBytes = 4096;

/// Prefetches part `part` of `n_parts` of the bytes that lie kPrefetchBytes beyond a tile. The next
/// row group follows in memory; beyond the end of a matrix a prefetch does nothing.
template <class Tile, int kParts, int kPart>
[[gnu::always_inline]] inline void prefetch_part(const Tile* tile) {
  constexpr std::size_t kLines = sizeof(Tile) / 64;
  constexpr std::size_t kFrom = kLines * kPart / kParts;
  constexpr std::size_t kTo = kLines * (kPart + 1) / kParts;
  const char* p = reinterpret_cast<const char*>(tile) + kPrefetchBytes;
  for (std::size_t line = kFrom; line < kTo; ++line) __builtin_prefetch(p + 64 * line, 0, 3);
}

}  // namespace
}  // namespace foretoken::kernels
