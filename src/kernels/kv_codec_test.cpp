// Rounding and placement of cache entries, by hand.
#include "kernels/kv_codec.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "base/half.h"

namespace foretoken::kernels {
namespace {

using quant::Type;

constexpr Type kTypes[] = {Type::F32, Type::F16, Type::BF16, Type::Q8_0, Type::Q4_0};

std::uint16_t half_at(const std::vector<std::byte>& tile, std::size_t index) {
  return static_cast<std::uint16_t>(static_cast<unsigned>(tile[2 * index]) |
                                    static_cast<unsigned>(tile[2 * index + 1]) << 8);
}

TEST(KvCodec, PutsOneDimensionOfAllKeysTogether) {
  std::vector<std::byte> tile(kv_tile_bytes(Type::F16, 32));
  std::vector<float> x(32);
  x[5] = 3.0F;
  encode_key(Type::F16, x.data(), 32, 9, tile.data());
  EXPECT_EQ(half_at(tile, 5 * 16 + 9), f32_to_f16(3.0F));
}

TEST(KvCodec, PutsAllDimensionsOfOneValueTogether) {
  std::vector<std::byte> tile(kv_tile_bytes(Type::F16, 32));
  std::vector<float> x(32);
  x[5] = 3.0F;
  encode_value(Type::F16, x.data(), 32, 9, tile.data());
  EXPECT_EQ(half_at(tile, 9 * 32 + 5), f32_to_f16(3.0F));
}

TEST(KvCodec, Q8HasOneScalePer32DimensionsAheadOfTheNumbers) {
  std::vector<std::byte> tile(kv_tile_bytes(Type::Q8_0, 64));
  std::vector<float> x(64);
  x[32] = -127.0F;  // second block: scale 1
  x[33] = 2.5F;     // halves round away from zero
  encode_key(Type::Q8_0, x.data(), 64, 3, tile.data());
  EXPECT_EQ(half_at(tile, 1 * 16 + 3), f32_to_f16(1.0F));
  EXPECT_EQ(half_at(tile, 0 * 16 + 3), 0);
  const std::size_t numbers = 2 * 16 * 2;
  EXPECT_EQ(static_cast<std::int8_t>(tile[numbers + 32 * 16 + 3]), -127);
  EXPECT_EQ(static_cast<std::int8_t>(tile[numbers + 33 * 16 + 3]), 3);
  encode_value(Type::Q8_0, x.data(), 64, 3, tile.data());
  EXPECT_EQ(half_at(tile, 3 * 2 + 1), f32_to_f16(1.0F));
  EXPECT_EQ(static_cast<std::int8_t>(tile[numbers + 3 * 64 + 33]), 3);
}

TEST(KvCodec, Q4PacksDimensionsSixteenApartIntoOneByte) {
  std::vector<std::byte> tile(kv_tile_bytes(Type::Q4_0, 32));
  std::vector<float> x(32);
  x[0] = -8.0F;  // the extreme: scale 1, nibble 0
  x[16] = 3.4F;  // nibble trunc(3.4 + 8.5) = 11
  x[1] = 8.0F;   // nibble min(15, 16)
  encode_key(Type::Q4_0, x.data(), 32, 2, tile.data());
  EXPECT_EQ(half_at(tile, 2), f32_to_f16(1.0F));
  const std::size_t numbers = 16 * 2;
  EXPECT_EQ(tile[numbers + 0 * 16 + 2], std::byte{0xB0});
  EXPECT_EQ(tile[numbers + 1 * 16 + 2], std::byte{0x8F});
  std::vector<float> back(32);
  decode_key(Type::Q4_0, tile.data(), 32, 2, back.data());
  EXPECT_EQ(back[0], -8.0F);
  EXPECT_EQ(back[16], 3.0F);
  EXPECT_EQ(back[1], 7.0F);
  EXPECT_EQ(back[2], 0.0F);
}

TEST(KvCodec, LeavesTheOtherPositionsOfATileAlone) {
  for (Type type : kTypes) {
    std::vector<std::byte> keys(kv_tile_bytes(type, 64));
    std::vector<std::byte> values(keys.size());
    const auto at = [](int slot, int i) { return static_cast<float>((slot * 7 + i * 3) % 11 - 5); };
    for (int slot : {3, 0, 15, 7, 8, 1, 2, 4, 5, 6, 9, 10, 11, 12, 13, 14}) {
      std::vector<float> x(64);
      for (int i = 0; i < 64; ++i) x[static_cast<std::size_t>(i)] = at(slot, i);
      encode_key(type, x.data(), 64, slot, keys.data());
      encode_value(type, x.data(), 64, slot, values.data());
    }
    // Numbers up to 5 in steps of 1: exact except for Q8_0 and Q4_0, off by half a step there.
    const float step = type == Type::Q8_0 ? 5.0F / 254.0F : type == Type::Q4_0 ? 0.64F : 0.0F;
    for (int slot = 0; slot < 16; ++slot) {
      std::vector<float> key(64);
      std::vector<float> value(64);
      decode_key(type, keys.data(), 64, slot, key.data());
      decode_value(type, values.data(), 64, slot, value.data());
      EXPECT_EQ(key, value);
      for (int i = 0; i < 64; ++i) {
        EXPECT_NEAR(key[static_cast<std::size_t>(i)], at(slot, i), step * 1.01F);
      }
    }
  }
}

TEST(KvCodec, TakesAnyNumberWithoutUndefinedConversions) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  for (Type type : kTypes) {
    std::vector<std::byte> tile(kv_tile_bytes(type, 32));
    for (float bad : {nan, infinity, -infinity, 1e-45F, 3e38F}) {
      std::vector<float> x(32, bad);
      x[3] = 1.0F;
      encode_key(type, x.data(), 32, 0, tile.data());
      encode_value(type, x.data(), 32, 1, tile.data());
    }
  }
}

}  // namespace
}  // namespace foretoken::kernels
