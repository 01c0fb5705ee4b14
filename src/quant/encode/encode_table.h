// What the files compiled for one instruction set offer to quantize.cpp: a function per type.
#pragma once

#include <cstddef>

namespace foretoken::quant {

/// The arguments of quantize_rows (quant/quantize.h).
struct EncodeJob {
  const float* x;  // [n_rows, n_cols]
  std::size_t n_rows;
  std::size_t n_cols;
  const float* importance;  // [n_cols] or null
  std::byte* out;           // [n_rows, bytes of a row]
};

using EncodeFunction = void (*)(const EncodeJob&);

struct EncodeTable {
  EncodeFunction f16;
  EncodeFunction bf16;
  EncodeFunction q8_0;
  EncodeFunction q4_0;
  EncodeFunction q4_1;
  EncodeFunction q5_0;
  EncodeFunction q5_1;
  EncodeFunction q2_K;
  EncodeFunction q3_K;
  EncodeFunction q4_K;
  EncodeFunction q5_K;
  EncodeFunction q6_K;
  EncodeFunction iq4_nl;
  EncodeFunction iq4_xs;
  EncodeFunction mxfp4;
  EncodeFunction nvfp4;
  EncodeFunction q1_0;
  EncodeFunction q2_0;
};

// isa_scalar.cpp, and on x86-64 isa_avx2.cpp and isa_avx512.cpp
extern const EncodeTable kEncodeScalar;
extern const EncodeTable kEncodeAvx2;
extern const EncodeTable kEncodeAvx512;

}  // namespace foretoken::quant
