// Scalar decoders, one per format: the definition of what a block means. dequantize_row (type.h)
// picks among them; the kernels' own decoders are tested against them.
//
// Each reads n elements (whole blocks) from `source`, which needs no alignment, and writes n
// floats. Every product and difference is one binary32 operation in the order that
// docs/quant-formats.md writes it, so the results equal llama.cpp's bit for bit.
#pragma once

#include <cstddef>

namespace foretoken::quant {

// decode_float.cpp
void decode_f32(const std::byte* source, float* out, std::size_t n);
void decode_f16(const std::byte* source, float* out, std::size_t n);
void decode_bf16(const std::byte* source, float* out, std::size_t n);
void decode_f64(const std::byte* source, float* out, std::size_t n);  ///< rounded to nearest

// decode_legacy.cpp: blocks of 32 with one scale
void decode_q8_0(const std::byte* source, float* out, std::size_t n);
void decode_q4_0(const std::byte* source, float* out, std::size_t n);
void decode_q4_1(const std::byte* source, float* out, std::size_t n);
void decode_q5_0(const std::byte* source, float* out, std::size_t n);
void decode_q5_1(const std::byte* source, float* out, std::size_t n);

// decode_k.cpp: blocks of 256 with two levels of scales
void decode_q2_K(const std::byte* source, float* out, std::size_t n);
void decode_q3_K(const std::byte* source, float* out, std::size_t n);
void decode_q4_K(const std::byte* source, float* out, std::size_t n);
void decode_q5_K(const std::byte* source, float* out, std::size_t n);
void decode_q6_K(const std::byte* source, float* out, std::size_t n);

// decode_codebook.cpp: codes that index a table of values
void decode_iq4_nl(const std::byte* source, float* out, std::size_t n);
void decode_iq4_xs(const std::byte* source, float* out, std::size_t n);
void decode_mxfp4(const std::byte* source, float* out, std::size_t n);
void decode_nvfp4(const std::byte* source, float* out, std::size_t n);

// decode_small.cpp: one and two bits
void decode_q1_0(const std::byte* source, float* out, std::size_t n);
void decode_q2_0(const std::byte* source, float* out, std::size_t n);

/// 2^(e - 128), the scale of an MXFP4 block; e = 0 gives a subnormal.
float half_e8m0(unsigned char e);
/// Half of the unsigned E4M3 value u, the scale of an NVFP4 sub-block; 0 and 0x7F give zero, bit 7
/// is ignored.
float half_ue4m3(unsigned char u);

}  // namespace foretoken::quant
