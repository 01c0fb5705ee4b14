#include "engine/synthetic_acceptance.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>

#include "base/error.h"

namespace foretoken::engine {
namespace {

std::string refusal(const std::function<void()>& action) {
  try {
    action();
  } catch (const RequestError& error) {
    return error.what();
  }
  return "";
}

TEST(SyntheticAcceptance, KeepsDraftsAtTheRatesGiven) {
  auto synthetic = SyntheticAcceptance::parse_rates("0.9, 0.6,0.6 ,0.1", 4, 1);
  constexpr int kRounds = 100000;
  std::vector<int> kept(4, 0);
  for (int i = 0; i < kRounds; ++i) {
    const int n = synthetic.accept(4);
    for (int position = 0; position < n; ++position) ++kept[static_cast<std::size_t>(position)];
  }
  const std::vector<double> expected = {0.9, 0.6, 0.6, 0.1};
  for (std::size_t i = 0; i < 4; ++i) {  // five deviations of a proportion
    const double deviation = std::sqrt(expected[i] * (1.0 - expected[i]) / kRounds);
    EXPECT_NEAR(static_cast<double>(kept[i]) / kRounds, expected[i], 5.0 * deviation) << i;
  }
}

TEST(SyntheticAcceptance, LengthGivesEqualConditionalRatesAndThatMean) {
  const auto synthetic = SyntheticAcceptance::parse_length("2.5", 3, 1);
  EXPECT_NEAR(synthetic.mean_length(), 2.5, 1e-9);
  const auto& r = synthetic.rates();
  ASSERT_EQ(r.size(), 3U);
  EXPECT_NEAR(r[1] / r[0], r[0], 1e-9);
  EXPECT_NEAR(r[2] / r[1], r[0], 1e-9);
}

TEST(SyntheticAcceptance, TheEndsOfTheLengthAreExact) {
  auto never = SyntheticAcceptance::parse_length("1", 3, 1);
  auto always = SyntheticAcceptance::parse_length("4", 3, 1);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(never.accept(3), 0);
    ASSERT_EQ(always.accept(3), 3);
  }
}

TEST(SyntheticAcceptance, ShortDraftsAreClamped) {
  auto always = SyntheticAcceptance::parse_length("4", 3, 1);
  EXPECT_EQ(always.accept(2), 2);
  EXPECT_EQ(always.accept(0), 0);
  EXPECT_EQ(always.accept(-1), 0);
  EXPECT_EQ(always.accept(100), 3);
}

TEST(SyntheticAcceptance, SeedDecidesTheOutcomes) {
  auto a = SyntheticAcceptance::parse_length("2.5", 3, 7);
  auto b = SyntheticAcceptance::parse_length("2.5", 3, 7);
  for (int i = 0; i < 100; ++i) ASSERT_EQ(a.accept(3), b.accept(3));
}

TEST(SyntheticAcceptance, RefusesBadRatesInWords) {
  const auto parse = [](const char* text, int n_max) {
    return refusal([&] { SyntheticAcceptance::parse_rates(text, n_max, 1); });
  };
  for (const char* text : {"", ",", "0.5,", "0.5,x", "0.5,0.5y", "0.5 0.5,0.1", "nan,0.1"}) {
    EXPECT_NE(parse(text, 2), "") << text;
  }
  EXPECT_NE(parse("0.5,x", 2).find("'x' is not a number"), std::string::npos);
  EXPECT_NE(parse("0.5", 2).find("only 1 values: expected 2"), std::string::npos);
  EXPECT_NE(parse("0.5,0.4,0.3", 2).find("more than 2"), std::string::npos);
  EXPECT_NE(parse("0.5,0.6", 2).find("position 2"), std::string::npos);
  EXPECT_NE(parse("1.5", 1).find("1.5"), std::string::npos);
  EXPECT_NE(parse("-0.5", 1).find("-0.5"), std::string::npos);
  EXPECT_NE(parse("0.5", 0).find("--spec-draft-n-max"), std::string::npos);
  EXPECT_NE(parse("0.5", 9).find("--spec-draft-n-max"), std::string::npos);
  EXPECT_EQ(parse("0.5,0.5", 2), "");
}

TEST(SyntheticAcceptance, RefusesBadLengthsInWords) {
  const auto parse = [](const char* text, int n_max) {
    return refusal([&] { SyntheticAcceptance::parse_length(text, n_max, 1); });
  };
  for (const char* text : {"", "0.9", "4.1", "nan", "inf", "-1", "two", "2.5x", "1e999"}) {
    EXPECT_NE(parse(text, 3).find("--spec-synth-len"), std::string::npos) << text;
  }
  EXPECT_EQ(parse(" 2.5 ", 3), "");
}

TEST(SyntheticAcceptance, RefusesRatesBuiltWrong) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW(SyntheticAcceptance({}, 1), RequestError);
  EXPECT_THROW(SyntheticAcceptance({nan}, 1), RequestError);
  EXPECT_THROW(SyntheticAcceptance(std::vector<double>(9, 0.5), 1), RequestError);
}

TEST(SyntheticAcceptance, DescriptionSaysTheTextIsNotTheModels) {
  const std::string text = SyntheticAcceptance({0.8, 0.64}, 1).description();
  EXPECT_NE(text.find("0.800, 0.640"), std::string::npos) << text;
  EXPECT_NE(text.find("2.440"), std::string::npos) << text;
  EXPECT_NE(text.find("not the model's"), std::string::npos) << text;
}

}  // namespace
}  // namespace foretoken::engine
