// Byte layouts of the quantized block formats, as they lie in a GGUF file: packed, little-endian,
// without padding. A row is a whole number of blocks one after the other. Blocks in a file are
// only aligned to their own start, so every member is read through a packed struct.
//
// Scales named d, dmin, m are IEEE binary16 bit patterns (base/half.h). "e" is the index of an
// element within its block. Source: docs/quant-formats.md; checked against ggml-common.h of
// llama.cpp de3ff815.
#pragma once

#include <cstddef>
#include <cstdint>

namespace foretoken::quant {

#pragma pack(push, 1)

/// 32 elements: y = q * d.
struct BlockQ8_0 {
  std::uint16_t d;
  std::int8_t q[32];
};

/// 32 elements, nibbles: byte j holds e = j low and e = j + 16 high. y = (q - 8) * d.
struct BlockQ4_0 {
  std::uint16_t d;
  std::uint8_t qs[16];
};

/// As Q4_0 with a minimum: y = q * d + m.
struct BlockQ4_1 {
  std::uint16_t d;
  std::uint16_t m;
  std::uint8_t qs[16];
};

/// Q4_0's nibbles plus bit e of qh as fifth bit: y = (q - 16) * d.
struct BlockQ5_0 {
  std::uint16_t d;
  std::uint32_t qh;
  std::uint8_t qs[16];
};

/// As Q5_0 with a minimum: y = q * d + m.
struct BlockQ5_1 {
  std::uint16_t d;
  std::uint16_t m;
  std::uint32_t qh;
  std::uint8_t qs[16];
};

/// 256 elements, 2-bit codes in plane order (byte 32*(e/128) + e%32, bits 2*((e/32)%4)).
/// Group g = e/16: y = (d * (scales[g] & 15)) * q - dmin * (scales[g] >> 4).
struct BlockQ2_K {
  std::uint8_t scales[16];
  std::uint8_t qs[64];
  std::uint16_t d;
  std::uint16_t dmin;
};

/// 256 elements, 2-bit plane codes plus a third bit in hmask (bit e/32 of byte e%32); sixteen
/// 6-bit scales packed in 12 bytes (unpack_scales_q3_K). y = (d * (scale - 32)) * q, q in [-4, 3].
struct BlockQ3_K {
  std::uint8_t hmask[32];
  std::uint8_t qs[64];
  std::uint8_t scales[12];
  std::uint16_t d;
};

/// 256 elements in 8 groups of 32; 6-bit scales a and minima b in 12 bytes (unpack_scales_q4_K).
/// Byte 32*(e/64) + e%32, low nibble for even groups: y = (d * a) * q - dmin * b.
struct BlockQ4_K {
  std::uint16_t d;
  std::uint16_t dmin;
  std::uint8_t scales[12];
  std::uint8_t qs[128];
};

/// As Q4_K with a fifth bit: bit g of qh[e%32].
struct BlockQ5_K {
  std::uint16_t d;
  std::uint16_t dmin;
  std::uint8_t scales[12];
  std::uint8_t qh[32];
  std::uint8_t qs[128];
};

/// 256 elements, 6-bit codes. With h = e/128, k = (e%128)/32, l = e%32: low nibble of
/// ql[64h + 32(k&1) + l] for k < 2, high nibble otherwise; two more bits (qh[32h + l] >> 2k) & 3.
/// y = (d * scales[e/16]) * (q - 32).
struct BlockQ6_K {
  std::uint8_t ql[128];
  std::uint8_t qh[64];
  std::int8_t scales[16];
  std::uint16_t d;
};

/// 32 elements, Q4_0's nibble order; y = d * kIq4Codebook[q].
struct BlockIQ4_NL {
  std::uint16_t d;
  std::uint8_t qs[16];
};

/// 256 elements in 8 groups of 32. Scale of group g:
/// s = ((scales_l[g/2] >> 4*(g%2)) & 15) | ((scales_h >> 2g) & 3) << 4;
/// byte 16g + j holds e = 32g + j low and 32g + j + 16 high; y = (d * (s - 32)) * kIq4Codebook[q].
struct BlockIQ4_XS {
  std::uint16_t d;
  std::uint16_t scales_h;
  std::uint8_t scales_l[4];
  std::uint8_t qs[128];
};

/// 32 elements, Q4_0's nibble order; y = kFp4Codebook[q] * 2^(e - 128).
struct BlockMXFP4 {
  std::uint8_t e;
  std::uint8_t qs[16];
};

/// 64 elements in 4 sub-blocks b of 16: byte 8b + j holds e = 16b + j low and 16b + 8 + j high;
/// y = kFp4Codebook[q] * half_ue4m3(s[b]).
struct BlockNVFP4 {
  std::uint8_t s[4];
  std::uint8_t qs[32];
};

/// 128 elements of one bit: y = bit ? d : -d.
struct BlockQ1_0 {
  std::uint16_t d;
  std::uint8_t qs[16];
};

/// 64 elements of two bits, code at bits 2*(e%4) of byte e/4: y = (code - 1) * d.
struct BlockQ2_0 {
  std::uint16_t d;
  std::uint8_t qs[16];
};

#pragma pack(pop)

static_assert(sizeof(BlockQ8_0) == 34);
static_assert(sizeof(BlockQ4_0) == 18);
static_assert(sizeof(BlockQ4_1) == 20);
static_assert(sizeof(BlockQ5_0) == 22);
static_assert(sizeof(BlockQ5_1) == 24);
static_assert(sizeof(BlockQ2_K) == 84);
static_assert(sizeof(BlockQ3_K) == 110);
static_assert(sizeof(BlockQ4_K) == 144);
static_assert(sizeof(BlockQ5_K) == 176);
static_assert(sizeof(BlockQ6_K) == 210);
static_assert(sizeof(BlockIQ4_NL) == 18);
static_assert(sizeof(BlockIQ4_XS) == 136);
static_assert(sizeof(BlockMXFP4) == 17);
static_assert(sizeof(BlockNVFP4) == 36);
static_assert(sizeof(BlockQ1_0) == 18);
static_assert(sizeof(BlockQ2_0) == 18);

/// Values of the 4-bit codes of IQ4_NL and IQ4_XS.
inline constexpr std::int8_t kIq4Codebook[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                 1,    13,   25,  38,  53,  69,  89,  113};
/// Twice the value of each FP4 (E2M1) code, shared by MXFP4 and NVFP4; code 8 is minus zero.
inline constexpr std::int8_t kFp4Codebook[16] = {0, 1,  2,  3,  4,  6,  8,  12,
                                                 0, -1, -2, -3, -4, -6, -8, -12};

/// Scales and minima (6 bits, 0..63) of the 8 groups of a Q4_K or Q5_K block.
struct ScalesQ4_K {
  std::uint8_t scale[8];
  std::uint8_t min[8];
};

/// Unpacks the 12 bytes p: for j < 4, scale[j] = p[j] & 63 and min[j] = p[4+j] & 63; the four
/// later ones have their low nibbles in p[8+j] and their high bits on top of p[j] and p[4+j].
static constexpr ScalesQ4_K unpack_scales_q4_K(const std::uint8_t* p) {
  ScalesQ4_K out{};
  for (int j = 0; j < 4; ++j) {
    out.scale[j] = static_cast<std::uint8_t>(p[j] & 63);
    out.min[j] = static_cast<std::uint8_t>(p[4 + j] & 63);
    out.scale[4 + j] = static_cast<std::uint8_t>((p[8 + j] & 15) | (p[j] >> 6) << 4);
    out.min[4 + j] = static_cast<std::uint8_t>((p[8 + j] >> 4) | (p[4 + j] >> 6) << 4);
  }
  return out;
}

/// Scales of the 16 groups of a Q3_K block, already less 32 (-32..31).
struct ScalesQ3_K {
  std::int8_t scale[16];
};

/// Unpacks the 12 bytes p: low nibbles of groups 0..7 (low half of p[0..7]) and 8..15 (high half),
/// upper two bits of group g at bits 2*(g/4) of p[8 + g%4].
static constexpr ScalesQ3_K unpack_scales_q3_K(const std::uint8_t* p) {
  ScalesQ3_K out{};
  for (int g = 0; g < 16; ++g) {
    const int low = (p[g % 8] >> (g < 8 ? 0 : 4)) & 15;
    const int high = (p[8 + g % 4] >> (2 * (g / 4))) & 3;
    out.scale[g] = static_cast<std::int8_t>((low | high << 4) - 32);
  }
  return out;
}

}  // namespace foretoken::quant
