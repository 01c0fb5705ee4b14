// Picks the encoder of a type and an instruction set; the encoders are in quant/encode/.
#include "quant/quantize.h"

#include <cassert>
#include <cstring>

#include "base/cpu_features.h"
#include "quant/encode/encode_table.h"

namespace foretoken::quant {
namespace {

const EncodeTable& table_of(EncodeLevel level) {
#if defined(__x86_64__)
  switch (level) {
    case EncodeLevel::Scalar:
      return kEncodeScalar;
    case EncodeLevel::Avx2:
      return kEncodeAvx2;
    case EncodeLevel::Avx512:
      return kEncodeAvx512;
  }
#endif
  assert(level == EncodeLevel::Scalar);
  return kEncodeScalar;
}

// Null for types that quantize_rows does not make by an encoder.
EncodeFunction EncodeTable::*encoder_of(Type type) {
  switch (type) {
    case Type::F16:
      return &EncodeTable::f16;
    case Type::BF16:
      return &EncodeTable::bf16;
    case Type::Q8_0:
      return &EncodeTable::q8_0;
    case Type::Q4_0:
      return &EncodeTable::q4_0;
    case Type::Q4_1:
      return &EncodeTable::q4_1;
    case Type::Q5_0:
      return &EncodeTable::q5_0;
    case Type::Q5_1:
      return &EncodeTable::q5_1;
    case Type::Q2_K:
      return &EncodeTable::q2_K;
    case Type::Q3_K:
      return &EncodeTable::q3_K;
    case Type::Q4_K:
      return &EncodeTable::q4_K;
    case Type::Q5_K:
      return &EncodeTable::q5_K;
    case Type::Q6_K:
      return &EncodeTable::q6_K;
    case Type::IQ4_NL:
      return &EncodeTable::iq4_nl;
    case Type::IQ4_XS:
      return &EncodeTable::iq4_xs;
    case Type::MXFP4:
      return &EncodeTable::mxfp4;
    case Type::NVFP4:
      return &EncodeTable::nvfp4;
    case Type::Q1_0:
      return &EncodeTable::q1_0;
    case Type::Q2_0:
      return &EncodeTable::q2_0;
    case Type::F32:
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
    case Type::F64:
    case Type::IQ1_M:
    case Type::TQ1_0:
    case Type::TQ2_0:
      return nullptr;
  }
  return nullptr;
}

}  // namespace

EncodeLevel best_encode_level() {
  const CpuFeatures features = detect_cpu_features();
  if (features.avx512) return EncodeLevel::Avx512;
  return features.avx2 ? EncodeLevel::Avx2 : EncodeLevel::Scalar;
}

bool can_quantize(Type type) { return type == Type::F32 || encoder_of(type) != nullptr; }

bool uses_importance(Type type) {
  switch (type) {
    case Type::F32:
    case Type::F16:
    case Type::BF16:
    case Type::Q8_0:
    case Type::MXFP4:
    case Type::NVFP4:
    case Type::Q1_0:
    case Type::Q2_0:
      return false;
    default:
      return can_quantize(type);
  }
}

void quantize_rows(Type type, const float* x, std::size_t n_rows, std::size_t n_cols,
                   const float* importance, std::byte* out, EncodeLevel level) {
  assert(can_quantize(type));
  assert(n_cols % static_cast<std::size_t>(type_info(type).block_elements) == 0);
  if (n_rows == 0 || n_cols == 0) return;
  if (type == Type::F32) {
    std::memcpy(out, x, n_rows * n_cols * sizeof(float));
    return;
  }
  // NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): there is one, see above.
  const EncodeFunction encode = table_of(level).*encoder_of(type);
  encode({x, n_rows, n_cols, uses_importance(type) ? importance : nullptr, out});
}

}  // namespace foretoken::quant
