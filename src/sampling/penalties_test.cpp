#include "sampling/penalties.h"

#include <gtest/gtest.h>

namespace foretoken::sampling {
namespace {

TEST(Penalties, RepeatDividesPositiveAndMultipliesNegativeLogits) {
  SamplingParams params;
  params.repeat_penalty = 2.0F;
  EXPECT_FLOAT_EQ(penalized_logit(3.0F, 5, params), 1.5F);
  EXPECT_FLOAT_EQ(penalized_logit(-3.0F, 5, params), -6.0F);
}

TEST(Penalties, FrequencyCountsAndPresenceDoesNot) {
  SamplingParams params;
  params.frequency_penalty = 0.5F;
  EXPECT_FLOAT_EQ(penalized_logit(1.0F, 3, params), -0.5F);
  params.presence_penalty = 1.5F;
  EXPECT_FLOAT_EQ(penalized_logit(1.0F, 3, params), -2.0F);
}

TEST(Penalties, OffByDefaultAndWithoutAWindow) {
  SamplingParams params;
  EXPECT_FALSE(has_token_penalties(params));
  params.presence_penalty = 1.5F;
  EXPECT_TRUE(has_token_penalties(params));
  params.repeat_last_n = 0;
  EXPECT_FALSE(has_token_penalties(params));
}

}  // namespace
}  // namespace foretoken::sampling
