// Encoding of rows of numbers into block formats, with the bytes that llama-quantize (its x86-64
// build) makes. The searches run one group of weights per vector lane, each lane in the scalar
// order of operations, so every instruction set gives the same bytes.
// Source: docs/quant-formats.md, "Making blocks"; ggml-quants.c of llama.cpp de3ff815.
#pragma once

#include <cstddef>

#include "quant/type.h"

namespace foretoken::quant {

/// Instruction sets that the searches are compiled for, least first.
enum class EncodeLevel { Scalar, Avx2, Avx512 };

/// The best level of the processor this runs on.
EncodeLevel best_encode_level();

/// Whether `quantize_rows` makes this type: F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K,
/// Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS, MXFP4, NVFP4, Q1_0, Q2_0.
[[nodiscard]] bool can_quantize(Type type);

/// Whether an importance vector changes what `quantize_rows` writes for this type.
[[nodiscard]] bool uses_importance(Type type);

/// Encodes `n_rows` rows of `n_cols` floats: x [n_rows, n_cols] to out
/// [n_rows, row_bytes(type, n_cols)]. `importance` [n_cols], >= 0, weighs the squared error of each
/// column; null for none. Rows are independent: cutting a matrix into calls changes nothing.
/// Requires can_quantize(type), finite x and importance, n_cols a multiple of the type's block and
/// a `level` that the processor has. Thread-safe.
void quantize_rows(Type type, const float* x, std::size_t n_rows, std::size_t n_cols,
                   const float* importance, std::byte* out,
                   EncodeLevel level = best_encode_level());

}  // namespace foretoken::quant
