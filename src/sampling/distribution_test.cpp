#include "sampling/distribution.h"

#include <gtest/gtest.h>

namespace foretoken::sampling {
namespace {

const Distribution kLaw{{{7, 0.0F, 0.5F}, {3, 0.0F, 0.25F}, {9, 0.0F, 0.25F}}};

TEST(Distribution, ProbabilityOfAbsentTokenIsZero) {
  EXPECT_EQ(kLaw.probability_of(3), 0.25F);
  EXPECT_EQ(kLaw.probability_of(4), 0.0F);
  EXPECT_EQ(kLaw.top(), 7);
  EXPECT_EQ(Distribution{}.top_probability(), 0.0F);
}

TEST(Distribution, DrawInvertsTheCumulativeSum) {
  EXPECT_EQ(draw(kLaw, 0.0), 7);
  EXPECT_EQ(draw(kLaw, 0.4999), 7);
  EXPECT_EQ(draw(kLaw, 0.5), 3);
  EXPECT_EQ(draw(kLaw, 0.7499), 3);
  EXPECT_EQ(draw(kLaw, 0.75), 9);
  EXPECT_EQ(draw(kLaw, 1.0 - 0x1p-53), 9);
}

TEST(Distribution, DrawNeverReturnsATokenOfProbabilityZero) {
  const Distribution law{{{1, 0.0F, 0.0F}, {2, 0.0F, 0.3F}, {3, 0.0F, 0.0F}}};
  EXPECT_EQ(draw(law, 0.0), 2);
  EXPECT_EQ(draw(law, 1.0 - 0x1p-53), 2);
}

}  // namespace
}  // namespace foretoken::sampling
