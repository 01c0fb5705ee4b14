// The 16-bit conversions against the definition: the value of a pattern is computed here from its
// fields in double, and "nearest, ties to even" is checked at every midpoint between neighbours.
#include "base/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace foretoken {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// (-1)^sign * 0.mantissa * 2^(1-bias) or 1.mantissa * 2^(exponent-bias); IEEE 754-2019, 3.4.
double value_of_fields(unsigned sign, unsigned exponent, unsigned mantissa, int mantissa_bits,
                       int bias) {
  const double fraction = std::ldexp(static_cast<double>(mantissa), -mantissa_bits);
  const double magnitude = exponent == 0
                               ? std::ldexp(fraction, 1 - bias)
                               : std::ldexp(1.0 + fraction, static_cast<int>(exponent) - bias);
  return sign != 0 ? -magnitude : magnitude;
}

double f16_value(unsigned h) {
  return value_of_fields(h >> 15, (h >> 10) & 0x1F, h & 0x3FF, 10, 15);
}

double bf16_value(unsigned b) {
  return value_of_fields(b >> 15, (b >> 7) & 0xFF, b & 0x7F, 7, 127);
}

bool is_f16_nan(unsigned h) { return (h & 0x7FFF) > 0x7C00; }
bool is_bf16_nan(unsigned b) { return (b & 0x7FFF) > 0x7F80; }

TEST(Half, EveryF16PatternHasItsIeeeValue) {
  for (unsigned h = 0; h < 0x10000; ++h) {
    const float value = f16_to_f32(static_cast<std::uint16_t>(h));
    ASSERT_EQ(std::signbit(value), (h & 0x8000) != 0) << std::hex << h;
    if (is_f16_nan(h)) {
      ASSERT_TRUE(std::isnan(value)) << std::hex << h;
    } else if ((h & 0x7FFF) == 0x7C00) {
      ASSERT_TRUE(std::isinf(value)) << std::hex << h;
    } else {
      ASSERT_EQ(static_cast<double>(value), f16_value(h)) << std::hex << h;
    }
  }
}

TEST(Half, EveryF16PatternSurvivesARoundTrip) {
  for (unsigned h = 0; h < 0x10000; ++h) {
    const unsigned back = f32_to_f16(f16_to_f32(static_cast<std::uint16_t>(h)));
    const unsigned expected = is_f16_nan(h) ? ((h & 0x8000) | 0x7E00) : h;
    ASSERT_EQ(back, expected) << std::hex << h;
  }
}

TEST(Half, F16RoundsToNearestAndTiesToEven) {
  for (unsigned h = 0; h < 0x7BFF; ++h) {  // every pair of finite neighbours, subnormals included
    const auto middle = static_cast<float>((f16_value(h) + f16_value(h + 1)) / 2);
    const unsigned even = (h & 1) == 0 ? h : h + 1;
    ASSERT_EQ(f32_to_f16(middle), even) << std::hex << h;
    ASSERT_EQ(f32_to_f16(std::nextafter(middle, 0.0F)), h) << std::hex << h;
    ASSERT_EQ(f32_to_f16(std::nextafter(middle, kInfinity)), h + 1) << std::hex << h;
    ASSERT_EQ(f32_to_f16(-middle), even | 0x8000) << std::hex << h;
  }
}

TEST(Half, F16OverflowsHalfAStepBeyondTheLargest) {
  EXPECT_EQ(f32_to_f16(65504.0F), 0x7BFF);
  EXPECT_EQ(f32_to_f16(std::nextafter(65520.0F, 0.0F)), 0x7BFF);
  EXPECT_EQ(f32_to_f16(65520.0F), 0x7C00);  // the tie goes to the even pattern, infinity
  EXPECT_EQ(f32_to_f16(-65520.0F), 0xFC00);
  EXPECT_EQ(f32_to_f16(65536.0F), 0x7C00);
  EXPECT_EQ(f32_to_f16(std::numeric_limits<float>::max()), 0x7C00);
  EXPECT_EQ(f32_to_f16(kInfinity), 0x7C00);
  EXPECT_EQ(f32_to_f16(-kInfinity), 0xFC00);
}

TEST(Half, F16UnderflowsToSignedZero) {
  EXPECT_EQ(f32_to_f16(0x1p-25F), 0x0000);  // half the smallest: a tie, to even
  EXPECT_EQ(f32_to_f16(std::nextafter(0x1p-25F, 1.0F)), 0x0001);
  EXPECT_EQ(f32_to_f16(-0x1p-26F), 0x8000);
  EXPECT_EQ(f32_to_f16(std::numeric_limits<float>::denorm_min()), 0x0000);
  EXPECT_EQ(f32_to_f16(-0.0F), 0x8000);
}

TEST(Half, F16NanKeepsOnlyItsSign) {
  EXPECT_EQ(f32_to_f16(std::bit_cast<float>(0x7F800001U)), 0x7E00);
  EXPECT_EQ(f32_to_f16(std::bit_cast<float>(0xFFFFFFFFU)), 0xFE00);
}

TEST(Half, EveryBf16PatternHasItsValueAndSurvivesARoundTrip) {
  for (unsigned b = 0; b < 0x10000; ++b) {
    const float value = bf16_to_f32(static_cast<std::uint16_t>(b));
    const unsigned back = f32_to_bf16(value);
    if (is_bf16_nan(b)) {
      ASSERT_TRUE(std::isnan(value)) << std::hex << b;
      ASSERT_EQ(back, b | 0x40) << std::hex << b;
      continue;
    }
    if ((b & 0x7FFF) == 0x7F80) {
      ASSERT_TRUE(std::isinf(value)) << std::hex << b;
    } else {
      ASSERT_EQ(static_cast<double>(value), bf16_value(b)) << std::hex << b;
    }
    ASSERT_EQ(back, b) << std::hex << b;
  }
}

TEST(Half, Bf16RoundsToNearestAndTiesToEven) {
  for (unsigned b = 0; b < 0x7F7F; ++b) {
    const auto middle = static_cast<float>((bf16_value(b) + bf16_value(b + 1)) / 2);
    const unsigned even = (b & 1) == 0 ? b : b + 1;
    ASSERT_EQ(f32_to_bf16(middle), even) << std::hex << b;
    ASSERT_EQ(f32_to_bf16(std::nextafter(middle, 0.0F)), b) << std::hex << b;
    ASSERT_EQ(f32_to_bf16(std::nextafter(middle, kInfinity)), b + 1) << std::hex << b;
    ASSERT_EQ(f32_to_bf16(-middle), even | 0x8000) << std::hex << b;
  }
}

TEST(Half, Bf16OverflowsToInfinityAndKeepsNan) {
  EXPECT_EQ(f32_to_bf16(std::numeric_limits<float>::max()), 0x7F80);
  EXPECT_EQ(f32_to_bf16(-std::numeric_limits<float>::max()), 0xFF80);
  // The payload bit below the cut alone must not turn a NaN into infinity.
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x7F800001U)), 0x7FC0);
}

}  // namespace
}  // namespace foretoken
