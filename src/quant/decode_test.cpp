// Each format is checked in two ways: small blocks worked out by hand, and random codes packed here
// by the picture of the format document, element by element, then compared bit for bit with the
// formula. The packing is written the other way round than the decoder, so that a slip in one of
// them shows.
#include "quant/decode.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "base/half.h"
#include "quant/blocks.h"
#include "quant/type.h"

namespace foretoken::quant {
namespace {

template <class Block>
std::vector<float> decode(Type type, const Block& block) {
  // One byte off any alignment, as blocks in a file are.
  std::vector<std::byte> bytes(sizeof(Block) + 1);
  std::memcpy(bytes.data() + 1, &block, sizeof(Block));
  std::vector<float> out(static_cast<std::size_t>(type_info(type).block_elements));
  dequantize_row(type, bytes.data() + 1, out.data(), out.size());
  return out;
}

void expect_bits(const std::vector<float>& got, const std::vector<float>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t e = 0; e < got.size(); ++e) {
    EXPECT_EQ(std::bit_cast<std::uint32_t>(got[e]), std::bit_cast<std::uint32_t>(expected[e]))
        << "element " << e << ": " << got[e] << " instead of " << expected[e];
  }
}

// Random small numbers and scales; the same on every run.
class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  int below(int n) { return static_cast<int>(engine_() % static_cast<unsigned>(n)); }
  std::vector<int> codes(int count, int n) {
    std::vector<int> out(static_cast<std::size_t>(count));
    for (int& code : out) code = below(n);
    return out;
  }
  // Finite f16 bit pattern of ordinary size, either sign.
  std::uint16_t half() {
    return static_cast<std::uint16_t>((below(2) << 15) | ((8 + below(10)) << 10) | below(1024));
  }

 private:
  std::mt19937 engine_;
};

std::size_t at(int i) { return static_cast<std::size_t>(i); }
std::uint8_t u8(int v) { return static_cast<std::uint8_t>(v); }

// Low nibble for e < 16, high nibble of the same bytes for the rest.
void put_nibbles(std::uint8_t* qs, const std::vector<int>& codes, int first = 0) {
  for (int j = 0; j < 16; ++j) {
    qs[j] = u8((codes[at(first + j)] & 15) | (codes[at(first + j + 16)] & 15) << 4);
  }
}

TEST(Decode, Q8_0MultipliesSignedBytes) {
  BlockQ8_0 block{};
  block.d = f32_to_f16(0.5F);
  block.q[0] = 1;
  block.q[1] = -128;
  block.q[31] = 127;
  const auto out = decode(Type::Q8_0, block);
  EXPECT_EQ(out[0], 0.5F);
  EXPECT_EQ(out[1], -64.0F);
  EXPECT_EQ(out[2], 0.0F);
  EXPECT_EQ(out[31], 63.5F);
}

TEST(Decode, Q4_0PutsElement16InTheHighNibbleOfByte0) {
  BlockQ4_0 block{};
  block.d = f32_to_f16(2.0F);
  std::memset(block.qs, 0x88, 16);
  block.qs[0] = 0xF3;
  const auto out = decode(Type::Q4_0, block);
  EXPECT_EQ(out[0], -10.0F);
  EXPECT_EQ(out[16], 14.0F);
  EXPECT_EQ(out[1], 0.0F);
}

TEST(Decode, LegacyFormatsFollowTheirFormulas) {
  Random random(1);
  for (int round = 0; round < 20; ++round) {
    const std::uint16_t d = random.half();
    const std::uint16_t m = random.half();
    const float df = f16_to_f32(d);
    const float mf = f16_to_f32(m);
    const auto codes = random.codes(32, 32);
    BlockQ4_0 q4_0{.d = d, .qs = {}};
    BlockQ4_1 q4_1{.d = d, .m = m, .qs = {}};
    BlockQ5_0 q5_0{.d = d, .qh = 0, .qs = {}};
    BlockQ5_1 q5_1{.d = d, .m = m, .qh = 0, .qs = {}};
    put_nibbles(q4_0.qs, codes);
    put_nibbles(q4_1.qs, codes);
    put_nibbles(q5_0.qs, codes);
    put_nibbles(q5_1.qs, codes);
    std::uint32_t fifth = 0;
    for (int e = 0; e < 32; ++e) fifth |= static_cast<std::uint32_t>(codes[at(e)] >> 4) << e;
    q5_0.qh = fifth;
    q5_1.qh = fifth;
    std::vector<float> y40;
    std::vector<float> y41;
    std::vector<float> y50;
    std::vector<float> y51;
    for (const int code : codes) {
      y40.push_back(static_cast<float>((code & 15) - 8) * df);
      y41.push_back(static_cast<float>(code & 15) * df + mf);
      y50.push_back(static_cast<float>(code - 16) * df);
      y51.push_back(static_cast<float>(code) * df + mf);
    }
    expect_bits(decode(Type::Q4_0, q4_0), y40);
    expect_bits(decode(Type::Q4_1, q4_1), y41);
    expect_bits(decode(Type::Q5_0, q5_0), y50);
    expect_bits(decode(Type::Q5_1, q5_1), y51);
  }
}

// Two-bit planes: four runs of 32 elements share 32 bytes, two bits each.
void put_planes(std::uint8_t* qs, const std::vector<int>& codes) {
  for (int half = 0; half < 2; ++half) {
    for (int b = 0; b < 32; ++b) {
      const std::size_t e = at(128 * half + b);
      qs[32 * half + b] = u8((codes[e] & 3) | (codes[e + 32] & 3) << 2 | (codes[e + 64] & 3) << 4 |
                             (codes[e + 96] & 3) << 6);
    }
  }
}

TEST(Decode, Q2_KFollowsItsFormula) {
  Random random(2);
  for (int round = 0; round < 10; ++round) {
    BlockQ2_K block{};
    block.d = random.half();
    block.dmin = random.half();
    const auto codes = random.codes(256, 4);
    const auto scales = random.codes(16, 16);
    const auto mins = random.codes(16, 16);
    for (int g = 0; g < 16; ++g) block.scales[g] = u8(scales[at(g)] | mins[at(g)] << 4);
    put_planes(block.qs, codes);
    std::vector<float> expected;
    for (int e = 0; e < 256; ++e) {
      const float step = f16_to_f32(block.d) * static_cast<float>(scales[at(e / 16)]);
      const float offset = f16_to_f32(block.dmin) * static_cast<float>(mins[at(e / 16)]);
      expected.push_back(step * static_cast<float>(codes[at(e)]) - offset);
    }
    expect_bits(decode(Type::Q2_K, block), expected);
  }
}

TEST(Decode, Q3_KFollowsItsFormula) {
  Random random(3);
  for (int round = 0; round < 10; ++round) {
    BlockQ3_K block{};
    block.d = random.half();
    const auto codes = random.codes(256, 8);   // value = code - 4
    const auto scales = random.codes(16, 64);  // factor = scale - 32
    std::vector<int> low(256);
    for (int e = 0; e < 256; ++e) {
      // A set mask bit means "no 4 subtracted".
      low[at(e)] = codes[at(e)] & 3;
      if (codes[at(e)] >= 4) block.hmask[e % 32] = u8(block.hmask[e % 32] | 1 << (e / 32));
    }
    put_planes(block.qs, low);
    for (int k = 0; k < 8; ++k)
      block.scales[k] = u8((scales[at(k)] & 15) | (scales[at(k + 8)] & 15) << 4);
    for (int k = 0; k < 4; ++k) {
      block.scales[8 + k] = u8(scales[at(k)] >> 4 | (scales[at(k + 4)] >> 4) << 2 |
                               (scales[at(k + 8)] >> 4) << 4 | (scales[at(k + 12)] >> 4) << 6);
    }
    std::vector<float> expected;
    for (int e = 0; e < 256; ++e) {
      const float step = f16_to_f32(block.d) * static_cast<float>(scales[at(e / 16)] - 32);
      expected.push_back(step * static_cast<float>(codes[at(e)] - 4));
    }
    expect_bits(decode(Type::Q3_K, block), expected);
  }
}

void put_scales(std::uint8_t* p, const std::vector<int>& a, const std::vector<int>& b) {
  for (int j = 0; j < 4; ++j) {
    p[j] = u8(a[at(j)] | (a[at(j + 4)] >> 4) << 6);
    p[4 + j] = u8(b[at(j)] | (b[at(j + 4)] >> 4) << 6);
    p[8 + j] = u8((a[at(j + 4)] & 15) | (b[at(j + 4)] & 15) << 4);
  }
}

// Groups 2i (low nibbles) and 2i+1 (high nibbles) share bytes 32i .. 32i+31.
void put_group_pairs(std::uint8_t* qs, const std::vector<int>& codes) {
  for (int pair = 0; pair < 4; ++pair) {
    for (int b = 0; b < 32; ++b) {
      const std::size_t e = at(64 * pair + b);
      qs[32 * pair + b] = u8((codes[e] & 15) | (codes[e + 32] & 15) << 4);
    }
  }
}

template <class Block>
std::vector<float> expected_q45(const Block& block, const std::vector<int>& codes,
                                const std::vector<int>& a, const std::vector<int>& b) {
  std::vector<float> out;
  for (int e = 0; e < 256; ++e) {
    const float step = f16_to_f32(block.d) * static_cast<float>(a[at(e / 32)]);
    const float offset = f16_to_f32(block.dmin) * static_cast<float>(b[at(e / 32)]);
    out.push_back(step * static_cast<float>(codes[at(e)]) - offset);
  }
  return out;
}

TEST(Decode, Q4_KAndQ5_KFollowTheirFormulas) {
  Random random(4);
  for (int round = 0; round < 10; ++round) {
    BlockQ4_K q4{};
    BlockQ5_K q5{};
    q4.d = q5.d = random.half();
    q4.dmin = q5.dmin = random.half();
    const auto a = random.codes(8, 64);
    const auto b = random.codes(8, 64);
    const auto codes4 = random.codes(256, 16);
    const auto codes5 = random.codes(256, 32);
    put_scales(q4.scales, a, b);
    put_scales(q5.scales, a, b);
    put_group_pairs(q4.qs, codes4);
    put_group_pairs(q5.qs, codes5);
    for (int e = 0; e < 256; ++e) {
      if (codes5[at(e)] >= 16) q5.qh[e % 32] = u8(q5.qh[e % 32] | 1 << (e / 32));
    }
    expect_bits(decode(Type::Q4_K, q4), expected_q45(q4, codes4, a, b));
    expect_bits(decode(Type::Q5_K, q5), expected_q45(q5, codes5, a, b));
  }
}

TEST(Decode, Q6_KFollowsItsFormula) {
  Random random(6);
  for (int round = 0; round < 10; ++round) {
    BlockQ6_K block{};
    block.d = random.half();
    const auto codes = random.codes(256, 64);
    const auto scales = random.codes(16, 256);
    for (int g = 0; g < 16; ++g) block.scales[g] = static_cast<std::int8_t>(scales[at(g)] - 128);
    for (int half = 0; half < 2; ++half) {
      const auto code = [&](int e) { return codes[at(128 * half + e)]; };
      for (int l = 0; l < 32; ++l) {
        block.ql[64 * half + l] = u8((code(l) & 15) | (code(l + 64) & 15) << 4);
        block.ql[64 * half + 32 + l] = u8((code(l + 32) & 15) | (code(l + 96) & 15) << 4);
        block.qh[32 * half + l] = u8(code(l) >> 4 | (code(l + 32) >> 4) << 2 |
                                     (code(l + 64) >> 4) << 4 | (code(l + 96) >> 4) << 6);
      }
    }
    std::vector<float> expected;
    for (int e = 0; e < 256; ++e) {
      const float step = f16_to_f32(block.d) * static_cast<float>(scales[at(e / 16)] - 128);
      expected.push_back(step * static_cast<float>(codes[at(e)] - 32));
    }
    expect_bits(decode(Type::Q6_K, block), expected);
  }
}

TEST(Decode, Iq4FormatsLookUpTheirCodebook) {
  // The published grid, written out again.
  const float grid[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
  Random random(7);
  BlockIQ4_NL small{.d = random.half(), .qs = {}};
  const auto codes = random.codes(256, 16);
  put_nibbles(small.qs, codes);
  std::vector<float> expected;
  for (int e = 0; e < 32; ++e) expected.push_back(f16_to_f32(small.d) * grid[codes[at(e)]]);
  expect_bits(decode(Type::IQ4_NL, small), expected);

  BlockIQ4_XS large{};
  large.d = random.half();
  const auto scales = random.codes(8, 64);
  int high = 0;
  for (int g = 0; g < 8; ++g) {
    large.scales_l[g / 2] = u8(large.scales_l[g / 2] | (scales[at(g)] & 15) << (4 * (g % 2)));
    high |= (scales[at(g)] >> 4) << (2 * g);
    put_nibbles(large.qs + 16 * g, codes, 32 * g);
  }
  large.scales_h = static_cast<std::uint16_t>(high);
  expected.clear();
  for (int e = 0; e < 256; ++e) {
    const float step = f16_to_f32(large.d) * static_cast<float>(scales[at(e / 32)] - 32);
    expected.push_back(step * grid[codes[at(e)]]);
  }
  expect_bits(decode(Type::IQ4_XS, large), expected);
}

TEST(Decode, Mxfp4UsesTheE2m1ValuesAndPowersOfTwo) {
  const float e2m1[16] = {0, 0.5F, 1, 1.5F, 2, 3, 4, 6, -0.0F, -0.5F, -1, -1.5F, -2, -3, -4, -6};
  BlockMXFP4 block{};
  for (const int exponent : {0, 1, 2, 100, 127, 140, 254}) {
    block.e = u8(exponent);
    for (int j = 0; j < 16; ++j) block.qs[j] = u8(j | (15 - j) << 4);
    const auto out = decode(Type::MXFP4, block);
    for (int j = 0; j < 16; ++j) {
      EXPECT_EQ(out[at(j)], std::ldexp(e2m1[j], exponent - 127)) << exponent;
      EXPECT_EQ(out[at(j + 16)], std::ldexp(e2m1[15 - j], exponent - 127)) << exponent;
    }
  }
}

TEST(Decode, Nvfp4ScalesEachSixteenElements) {
  EXPECT_EQ(half_ue4m3(0x00), 0.0F);
  EXPECT_EQ(half_ue4m3(0x7F), 0.0F);
  EXPECT_EQ(half_ue4m3(0x01), 0x1p-10F);  // half of 2^-9, the least subnormal
  EXPECT_EQ(half_ue4m3(0x38), 0.5F);      // half of 1
  EXPECT_EQ(half_ue4m3(0x7E), 224.0F);    // half of 448, the largest
  EXPECT_EQ(half_ue4m3(0xB8), 0.5F);      // bit 7 is ignored
  BlockNVFP4 block{};
  block.s[0] = 0x38;
  block.s[3] = 0x40;    // 2
  block.qs[0] = 0x72;   // element 0 = 1, element 8 = 6
  block.qs[31] = 0xF1;  // element 55 = 0.5, element 63 = -6
  const auto out = decode(Type::NVFP4, block);
  EXPECT_EQ(out[0], 1.0F);
  EXPECT_EQ(out[8], 6.0F);
  EXPECT_EQ(out[55], 1.0F);
  EXPECT_EQ(out[63], -12.0F);
  EXPECT_EQ(out[1], 0.0F);
}

TEST(Decode, OneAndTwoBitFormatsFollowTheirFormulas) {
  Random random(8);
  BlockQ1_0 one{.d = random.half(), .qs = {}};
  BlockQ2_0 two{.d = random.half(), .qs = {}};
  const auto bits = random.codes(128, 2);
  const auto codes = random.codes(64, 4);
  for (int e = 0; e < 128; ++e) one.qs[e / 8] = u8(one.qs[e / 8] | bits[at(e)] << (e % 8));
  for (int e = 0; e < 64; ++e) two.qs[e / 4] = u8(two.qs[e / 4] | codes[at(e)] << (2 * (e % 4)));
  std::vector<float> expected;
  for (const int bit : bits) expected.push_back(bit != 0 ? f16_to_f32(one.d) : -f16_to_f32(one.d));
  expect_bits(decode(Type::Q1_0, one), expected);
  expected.clear();
  for (const int code : codes) expected.push_back(static_cast<float>(code - 1) * f16_to_f32(two.d));
  expect_bits(decode(Type::Q2_0, two), expected);
}

TEST(Decode, FloatTypesAreExact) {
  const std::uint16_t halves[4] = {0x3C00, 0x0001, 0xC000, 0x7BFF};
  std::vector<float> out(4);
  dequantize_row(Type::F16, reinterpret_cast<const std::byte*>(halves), out.data(), 4);
  expect_bits(out, {1.0F, 0x1p-24F, -2.0F, 65504.0F});
  const std::uint16_t brains[4] = {0x3F80, 0x0001, 0xC000, 0x7F7F};
  dequantize_row(Type::BF16, reinterpret_cast<const std::byte*>(brains), out.data(), 4);
  expect_bits(out, {1.0F, 0x1p-133F, -2.0F, 0x1.FEp127F});
  const double doubles[4] = {1.0, 0.1, -3.0, 1e-50};
  dequantize_row(Type::F64, reinterpret_cast<const std::byte*>(doubles), out.data(), 4);
  expect_bits(out, {1.0F, 0.1F, -3.0F, 0.0F});
}

TEST(Decode, RowsOfSeveralBlocksAreDecodedInOrder) {
  for (const Type type : {Type::Q8_0, Type::Q4_K, Type::Q6_K, Type::IQ4_XS, Type::NVFP4}) {
    const TypeInfo& info = type_info(type);
    const auto block_bytes = at(info.block_bytes);
    const auto n = at(info.block_elements);
    std::vector<std::byte> row(3 * block_bytes);
    Random random(9);
    for (std::byte& b : row) b = static_cast<std::byte>(random.below(0x70));
    std::vector<float> whole(3 * n);
    dequantize_row(type, row.data(), whole.data(), whole.size());
    for (std::size_t i = 0; i < 3; ++i) {
      std::vector<float> single(n);
      dequantize_row(type, row.data() + i * block_bytes, single.data(), n);
      expect_bits(single,
                  std::vector<float>(whole.begin() + static_cast<std::ptrdiff_t>(i * n),
                                     whole.begin() + static_cast<std::ptrdiff_t>((i + 1) * n)));
    }
  }
}

}  // namespace
}  // namespace foretoken::quant
