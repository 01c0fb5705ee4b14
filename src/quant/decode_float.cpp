// Decoders of the plain float types.
#include <cstdint>

#include "base/bytes.h"
#include "base/half.h"
#include "quant/decode.h"

namespace foretoken::quant {

void decode_f32(const std::byte* source, float* out, std::size_t n) {
  std::memcpy(out, source, n * sizeof(float));
}

void decode_f16(const std::byte* source, float* out, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) out[i] = f16_to_f32(load_le<std::uint16_t>(source + 2 * i));
}

void decode_bf16(const std::byte* source, float* out, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) out[i] = bf16_to_f32(load_le<std::uint16_t>(source + 2 * i));
}

void decode_f64(const std::byte* source, float* out, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<float>(load_le<double>(source + 8 * i));
}

}  // namespace foretoken::quant
