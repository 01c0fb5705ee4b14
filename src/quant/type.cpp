// The type table, and the switch from a type to its decoder.
#include "quant/type.h"

#include <array>
#include <cassert>
#include <cctype>

#include "quant/blocks.h"
#include "quant/decode.h"

namespace foretoken::quant {
namespace {

struct Row {
  Type type;
  TypeInfo info;
};

// Ids 4, 5, 31-33 and 36-38 belonged to types that were removed; 9 and 15 (Q8_1, Q8_K) hold
// activations inside other programs and are listed because they have a size. The IQ1, IQ2, IQ3 and
// TQ types can be carried and copied but not decoded here.
constexpr std::array<Row, 35> kTypes{{
    {Type::F32, {"F32", 1, 4, true}},
    {Type::F16, {"F16", 1, 2, true}},
    {Type::Q4_0, {"Q4_0", 32, sizeof(BlockQ4_0), true}},
    {Type::Q4_1, {"Q4_1", 32, sizeof(BlockQ4_1), true}},
    {Type::Q5_0, {"Q5_0", 32, sizeof(BlockQ5_0), true}},
    {Type::Q5_1, {"Q5_1", 32, sizeof(BlockQ5_1), true}},
    {Type::Q8_0, {"Q8_0", 32, sizeof(BlockQ8_0), true}},
    {Type::Q8_1, {"Q8_1", 32, 36, false}},
    {Type::Q2_K, {"Q2_K", 256, sizeof(BlockQ2_K), true}},
    {Type::Q3_K, {"Q3_K", 256, sizeof(BlockQ3_K), true}},
    {Type::Q4_K, {"Q4_K", 256, sizeof(BlockQ4_K), true}},
    {Type::Q5_K, {"Q5_K", 256, sizeof(BlockQ5_K), true}},
    {Type::Q6_K, {"Q6_K", 256, sizeof(BlockQ6_K), true}},
    {Type::Q8_K, {"Q8_K", 256, 292, false}},
    {Type::IQ2_XXS, {"IQ2_XXS", 256, 66, false}},
    {Type::IQ2_XS, {"IQ2_XS", 256, 74, false}},
    {Type::IQ3_XXS, {"IQ3_XXS", 256, 98, false}},
    {Type::IQ1_S, {"IQ1_S", 256, 50, false}},
    {Type::IQ4_NL, {"IQ4_NL", 32, sizeof(BlockIQ4_NL), true}},
    {Type::IQ3_S, {"IQ3_S", 256, 110, false}},
    {Type::IQ2_S, {"IQ2_S", 256, 82, false}},
    {Type::IQ4_XS, {"IQ4_XS", 256, sizeof(BlockIQ4_XS), true}},
    {Type::I8, {"I8", 1, 1, false}},
    {Type::I16, {"I16", 1, 2, false}},
    {Type::I32, {"I32", 1, 4, false}},
    {Type::I64, {"I64", 1, 8, false}},
    {Type::F64, {"F64", 1, 8, true}},
    {Type::IQ1_M, {"IQ1_M", 256, 56, false}},
    {Type::BF16, {"BF16", 1, 2, true}},
    {Type::TQ1_0, {"TQ1_0", 256, 54, false}},
    {Type::TQ2_0, {"TQ2_0", 256, 66, false}},
    {Type::MXFP4, {"MXFP4", 32, sizeof(BlockMXFP4), true}},
    {Type::NVFP4, {"NVFP4", 64, sizeof(BlockNVFP4), true}},
    {Type::Q1_0, {"Q1_0", 128, sizeof(BlockQ1_0), true}},
    {Type::Q2_0, {"Q2_0", 64, sizeof(BlockQ2_0), true}},
}};

const TypeInfo* find_row(std::uint32_t id) {
  for (const Row& row : kTypes) {
    if (static_cast<std::uint32_t>(row.type) == id) return &row.info;
  }
  return nullptr;
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::toupper(static_cast<unsigned char>(a[i])) !=
        std::toupper(static_cast<unsigned char>(b[i]))) {
      return false;
    }
  }
  return true;
}

}  // namespace

std::optional<TypeInfo> find_type(std::uint32_t id) {
  const TypeInfo* info = find_row(id);
  return info == nullptr ? std::nullopt : std::optional<TypeInfo>(*info);
}

const TypeInfo& type_info(Type type) {
  const TypeInfo* info = find_row(static_cast<std::uint32_t>(type));
  assert(info != nullptr && "a Type is only made from an id that find_type knows");
  return *info;
}

std::optional<Type> find_type_by_name(std::string_view name) {
  for (const Row& row : kTypes) {
    if (equal_ignoring_case(row.info.name, name)) return row.type;
  }
  return std::nullopt;
}

std::size_t row_bytes(Type type, std::size_t n) {
  const TypeInfo& info = type_info(type);
  const auto block = static_cast<std::size_t>(info.block_elements);
  assert(n % block == 0 && "a row is a whole number of blocks");
  return n / block * static_cast<std::size_t>(info.block_bytes);
}

void dequantize_row(Type type, const std::byte* source, float* out, std::size_t n) {
  assert(n % static_cast<std::size_t>(type_info(type).block_elements) == 0);
  switch (type) {
    case Type::F32:
      return decode_f32(source, out, n);
    case Type::F16:
      return decode_f16(source, out, n);
    case Type::BF16:
      return decode_bf16(source, out, n);
    case Type::F64:
      return decode_f64(source, out, n);
    case Type::Q8_0:
      return decode_q8_0(source, out, n);
    case Type::Q4_0:
      return decode_q4_0(source, out, n);
    case Type::Q4_1:
      return decode_q4_1(source, out, n);
    case Type::Q5_0:
      return decode_q5_0(source, out, n);
    case Type::Q5_1:
      return decode_q5_1(source, out, n);
    case Type::Q2_K:
      return decode_q2_K(source, out, n);
    case Type::Q3_K:
      return decode_q3_K(source, out, n);
    case Type::Q4_K:
      return decode_q4_K(source, out, n);
    case Type::Q5_K:
      return decode_q5_K(source, out, n);
    case Type::Q6_K:
      return decode_q6_K(source, out, n);
    case Type::IQ4_NL:
      return decode_iq4_nl(source, out, n);
    case Type::IQ4_XS:
      return decode_iq4_xs(source, out, n);
    case Type::MXFP4:
      return decode_mxfp4(source, out, n);
    case Type::NVFP4:
      return decode_nvfp4(source, out, n);
    case Type::Q1_0:
      return decode_q1_0(source, out, n);
    case Type::Q2_0:
      return decode_q2_0(source, out, n);
    case Type::Q8_1:
    case Type::Q8_K:
    case Type::IQ2_XXS:
    case Type::IQ2_XS:
    case Type::IQ3_XXS:
    case Type::IQ1_S:
    case Type::IQ3_S:
    case Type::IQ2_S:
    case Type::I8:
    case Type::I16:
    case Type::I32:
    case Type::I64:
    case Type::IQ1_M:
    case Type::TQ1_0:
    case Type::TQ2_0:
      break;
  }
  assert(false && "callers ask type_info(type).decodable first");
}

}  // namespace foretoken::quant
