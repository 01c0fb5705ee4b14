// Row quantizers without importance weights for the formats that the key/value cache and the tests
// need. The bytes equal llama-quantize's (x86-64 build).
// Source: docs/quant-formats.md, "Making Q8_0 and Q4_0".
#pragma once

#include <cstddef>

namespace foretoken::quant {

/// Per block of 32: d = max|x| / 127, q = round(x / d) half away from zero with the unrounded d;
/// d is stored as f16. Requires n % 32 == 0 and finite x; writes n/32 BlockQ8_0 to `out`.
void quantize_row_q8_0(const float* x, std::byte* out, std::size_t n);

/// Per block of 32: m = the value of largest magnitude (the first of equals), d = m / -8,
/// code = min(15, trunc(x / d + 8.5)); d is stored as f16 (minus zero for a block of zeros).
/// Requires n % 32 == 0 and finite x; writes n/32 BlockQ4_0 to `out`.
void quantize_row_q4_0(const float* x, std::byte* out, std::size_t n);

}  // namespace foretoken::quant
