#include "eval/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace foretoken::eval {
namespace {

TEST(Statistics, SummarizesASampleComputedByHand) {
  const std::vector<double> samples = {4, 2, 9, 5};
  const Summary result = summarize(samples);
  EXPECT_DOUBLE_EQ(result.mean, 5.0);
  EXPECT_DOUBLE_EQ(result.median, 4.5);
  EXPECT_DOUBLE_EQ(result.least, 2.0);
  EXPECT_DOUBLE_EQ(result.most, 9.0);
  EXPECT_DOUBLE_EQ(result.deviation, std::sqrt(26.0 / 3.0));  // 1 + 9 + 16 + 0
}

TEST(Statistics, OneSampleHasNoDeviation) {
  const std::vector<double> samples = {3};
  const Summary result = summarize(samples);
  EXPECT_EQ(result.mean, 3.0);
  EXPECT_EQ(result.median, 3.0);
  EXPECT_EQ(result.deviation, 0.0);
}

TEST(Statistics, NoSampleIsAllZero) {
  const Summary result = summarize({});
  EXPECT_EQ(result.mean, 0.0);
  EXPECT_EQ(result.deviation, 0.0);
}

}  // namespace
}  // namespace foretoken::eval
