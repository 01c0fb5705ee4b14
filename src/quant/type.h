// The tensor types of GGUF files: ids, names, block sizes. One table, read by everybody.
// Source: docs/quant-formats.md; ggml type numbering as of llama.cpp de3ff815.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace foretoken::quant {

/// Numbering of the GGUF `ggml_type` field.
enum class Type : std::uint32_t {
  F32 = 0,
  F16 = 1,
  Q4_0 = 2,
  Q4_1 = 3,
  Q5_0 = 6,
  Q5_1 = 7,
  Q8_0 = 8,
  Q8_1 = 9,
  Q2_K = 10,
  Q3_K = 11,
  Q4_K = 12,
  Q5_K = 13,
  Q6_K = 14,
  Q8_K = 15,
  IQ2_XXS = 16,
  IQ2_XS = 17,
  IQ3_XXS = 18,
  IQ1_S = 19,
  IQ4_NL = 20,
  IQ3_S = 21,
  IQ2_S = 22,
  IQ4_XS = 23,
  I8 = 24,
  I16 = 25,
  I32 = 26,
  I64 = 27,
  F64 = 28,
  IQ1_M = 29,
  BF16 = 30,
  TQ1_0 = 34,
  TQ2_0 = 35,
  MXFP4 = 39,
  NVFP4 = 40,
  Q1_0 = 41,
  Q2_0 = 42,
};

struct TypeInfo {
  std::string_view name;  ///< "Q4_K"
  int block_elements;     ///< elements per block along a row
  int block_bytes;        ///< bytes per block
  bool decodable;         ///< dequantize_row supports it
};

/// Table entry, or nothing for an id that no current file may carry (unknown or removed).
[[nodiscard]] std::optional<TypeInfo> find_type(std::uint32_t id);
/// Table entry of a known type.
const TypeInfo& type_info(Type type);
/// Case-insensitive look-up by name.
[[nodiscard]] std::optional<Type> find_type_by_name(std::string_view name);
/// Bytes of a row of `n` elements. Requires n % block_elements == 0.
std::size_t row_bytes(Type type, std::size_t n);

/// Decodes one row of `n` elements into f32, exactly as docs/quant-formats.md defines each format
/// (every product rounded in the order written). Requires a decodable type and whole blocks.
void dequantize_row(Type type, const std::byte* source, float* out, std::size_t n);

}  // namespace foretoken::quant
