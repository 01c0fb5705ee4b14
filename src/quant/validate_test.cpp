#include "quant/validate.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <vector>

namespace foretoken::quant {
namespace {

struct Case {
  Type type;
  std::size_t offset;      // of the number within its block
  std::uint64_t infinite;  // its bits when infinite or NaN
  std::size_t width;       // bytes of the number
};

const std::array kCases{
    Case{Type::F32, 0, 0x7F800000, 4}, Case{Type::F16, 0, 0xFC00, 2},
    Case{Type::BF16, 0, 0x7FC0, 2},    Case{Type::F64, 0, 0x7FF0000000000000, 8},
    Case{Type::Q8_0, 0, 0x7C00, 2},    Case{Type::Q4_0, 0, 0x7E00, 2},
    Case{Type::Q4_1, 0, 0x7C00, 2},    Case{Type::Q4_1, 2, 0x7C00, 2},
    Case{Type::Q5_0, 0, 0x7C00, 2},    Case{Type::Q5_1, 2, 0xFC01, 2},
    Case{Type::Q2_K, 80, 0x7C00, 2},   Case{Type::Q2_K, 82, 0x7C00, 2},
    Case{Type::Q3_K, 108, 0x7C00, 2},  Case{Type::Q4_K, 0, 0x7C00, 2},
    Case{Type::Q4_K, 2, 0x7C00, 2},    Case{Type::Q5_K, 2, 0x7C00, 2},
    Case{Type::Q6_K, 208, 0x7C00, 2},  Case{Type::IQ4_NL, 0, 0x7C00, 2},
    Case{Type::IQ4_XS, 0, 0x7C00, 2},  Case{Type::MXFP4, 0, 0xFF, 1},
    Case{Type::TQ1_0, 52, 0x7C00, 2},  Case{Type::TQ2_0, 64, 0x7C00, 2},
    Case{Type::IQ1_M, 54, 0x7000, 2},  // top nibble of the fourth word, with 0xC of the third
};

TEST(FindInvalidBlock, FindsAnInfiniteScaleOfEveryType) {
  for (const Case& c : kCases) {
    const auto size = static_cast<std::size_t>(type_info(c.type).block_bytes);
    std::vector<std::byte> data(5 * size);
    EXPECT_FALSE(find_invalid_block(c.type, data).has_value()) << type_info(c.type).name;
    std::memcpy(data.data() + 3 * size + c.offset, &c.infinite, c.width);
    if (c.type == Type::IQ1_M) data[3 * size + 53] = std::byte{0xC0};
    EXPECT_EQ(find_invalid_block(c.type, data), 3U) << type_info(c.type).name << " at " << c.offset;
  }
}

TEST(FindInvalidBlock, AcceptsTheLargestFiniteNumbers) {
  for (const Case& c : kCases) {
    const auto size = static_cast<std::size_t>(type_info(c.type).block_bytes);
    std::vector<std::byte> data(2 * size);
    const std::uint64_t finite = c.type == Type::F32     ? 0x7F7FFFFF
                                 : c.type == Type::BF16  ? 0x7F7F
                                 : c.type == Type::F64   ? 0x7FEFFFFFFFFFFFFF
                                 : c.type == Type::MXFP4 ? 254
                                                         : 0x7BFF;
    std::memcpy(data.data() + size + c.offset, &finite, c.width);
    EXPECT_FALSE(find_invalid_block(c.type, data).has_value()) << type_info(c.type).name;
  }
}

TEST(FindInvalidBlock, IgnoresCodesThatLookInfinite) {
  // All codes 0xFF, all scales zero.
  std::vector<std::byte> q8(34, std::byte{0xFF});
  q8[0] = q8[1] = std::byte{0};
  EXPECT_FALSE(find_invalid_block(Type::Q8_0, q8).has_value());
  const std::vector<std::byte> integers(64, std::byte{0xFF});
  EXPECT_FALSE(find_invalid_block(Type::I32, integers).has_value());
  const std::vector<std::byte> nvfp4(36, std::byte{0xFF});
  EXPECT_FALSE(find_invalid_block(Type::NVFP4, nvfp4).has_value());
}

}  // namespace
}  // namespace foretoken::quant
