// Every field is refused in words when it is out of range.
#include "sampling/params.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>

#include "base/error.h"

namespace foretoken::sampling {
namespace {

constexpr int kVocab = 100;
const float kNan = std::numeric_limits<float>::quiet_NaN();
const float kInfinity = std::numeric_limits<float>::infinity();

std::string refusal(const std::function<void(SamplingParams&)>& change) {
  SamplingParams params;
  change(params);
  try {
    validate(params, kVocab);
  } catch (const RequestError& error) {
    return error.what();
  }
  return "";
}

TEST(SamplingParams, DefaultsAreValid) { EXPECT_NO_THROW(validate(SamplingParams{}, kVocab)); }

TEST(SamplingParams, DefaultsAreThoseOfLlamaCpp) {
  const SamplingParams p;
  EXPECT_EQ(p.seed, 4294967295U);
  EXPECT_FLOAT_EQ(p.temperature, 0.8F);
  EXPECT_EQ(p.top_k, 40);
  EXPECT_FLOAT_EQ(p.top_p, 0.95F);
  EXPECT_FLOAT_EQ(p.min_p, 0.05F);
  EXPECT_FLOAT_EQ(p.typical_p, 1.0F);
  EXPECT_EQ(p.repeat_last_n, 64);
  EXPECT_FLOAT_EQ(p.repeat_penalty, 1.0F);
  EXPECT_FLOAT_EQ(p.dry_multiplier, 0.0F);
  EXPECT_FLOAT_EQ(p.dry_base, 1.75F);
  EXPECT_EQ(p.dry_allowed_length, 2);
  EXPECT_EQ(p.dry_penalty_last_n, 64);
}

TEST(SamplingParams, AcceptsTheEdgesOfEveryRange) {
  EXPECT_EQ(refusal([](auto& p) { p.temperature = -1.0F; }), "");
  EXPECT_EQ(refusal([](auto& p) { p.temperature = 1e30F; }), "");
  EXPECT_EQ(refusal([](auto& p) { p.top_k = -1; }), "");
  EXPECT_EQ(refusal([](auto& p) { p.top_k = std::numeric_limits<int>::max(); }), "");
  EXPECT_EQ(refusal([](auto& p) { p.top_p = 0.0F; }), "");
  EXPECT_EQ(refusal([](auto& p) { p.min_p = 1.0F; }), "");
  EXPECT_EQ(refusal([](auto& p) { p.logit_bias = {{99, -kInfinity}}; }), "");
  EXPECT_EQ(refusal([](auto& p) { p.xtc_probability = 1.0F, p.xtc_threshold = 0.0F; }), "");
  EXPECT_EQ(refusal([](auto& p) { p.dynatemp_range = -1.0F, p.dynatemp_exponent = -2.0F; }), "");
  EXPECT_EQ(refusal([](auto& p) { p.mirostat = 2, p.mirostat_tau = 0.0F; }), "");
  EXPECT_EQ(refusal([](auto& p) { p.adaptive_target = 1.0F, p.adaptive_decay = 0.99F; }), "");
}

TEST(SamplingParams, RefusalNamesFieldValueAndRange) {
  const std::string text = refusal([](auto& p) { p.top_p = 1.5F; });
  EXPECT_NE(text.find("top_p"), std::string::npos) << text;
  EXPECT_NE(text.find("1.5"), std::string::npos) << text;
  EXPECT_NE(text.find("from 0 to 1"), std::string::npos) << text;
}

struct BadValue {
  const char* field;
  std::function<void(SamplingParams&)> change;
};

TEST(SamplingParams, RefusesEveryBadValueByName) {
  const std::vector<BadValue> bad = {
      {"temperature", [](auto& p) { p.temperature = kNan; }},
      {"temperature", [](auto& p) { p.temperature = kInfinity; }},
      {"top_p", [](auto& p) { p.top_p = kNan; }},
      {"top_p", [](auto& p) { p.top_p = -0.1F; }},
      {"min_p", [](auto& p) { p.min_p = 1e9F; }},
      {"typical_p", [](auto& p) { p.typical_p = kNan; }},
      {"top_n_sigma", [](auto& p) { p.top_n_sigma = kInfinity; }},
      {"min_keep", [](auto& p) { p.min_keep = -1; }},
      {"repeat_last_n", [](auto& p) { p.repeat_last_n = -1; }},
      {"repeat_penalty", [](auto& p) { p.repeat_penalty = 0.0F; }},
      {"repeat_penalty", [](auto& p) { p.repeat_penalty = -1.0F; }},
      {"repeat_penalty", [](auto& p) { p.repeat_penalty = 1e-45F; }},
      {"repeat_penalty", [](auto& p) { p.repeat_penalty = kNan; }},
      {"presence_penalty", [](auto& p) { p.presence_penalty = kInfinity; }},
      {"frequency_penalty", [](auto& p) { p.frequency_penalty = kNan; }},
      {"dry_multiplier", [](auto& p) { p.dry_multiplier = -1.0F; }},
      {"dry_base", [](auto& p) { p.dry_base = 0.5F; }},
      {"dry_allowed_length", [](auto& p) { p.dry_allowed_length = -1; }},
      {"dry_penalty_last_n", [](auto& p) { p.dry_penalty_last_n = -1; }},
      {"dry_sequence_breakers", [](auto& p) { p.dry_sequence_breakers = {{}}; }},
      {"dry_sequence_breakers",
       [](auto& p) {
         p.dry_sequence_breakers = {{1, kVocab}};
       }},
      {"dry_sequence_breakers",
       [](auto& p) { p.dry_sequence_breakers = {std::vector<TokenId>(21, 1)}; }},
      {"logit_bias",
       [](auto& p) {
         p.logit_bias = {{kVocab, 1.0F}};
       }},
      {"logit_bias",
       [](auto& p) {
         p.logit_bias = {{-1, 1.0F}};
       }},
      {"logit_bias",
       [](auto& p) {
         p.logit_bias = {{1, kNan}};
       }},
      {"logit_bias",
       [](auto& p) {
         p.logit_bias = {{1, kInfinity}};
       }},
      {"xtc_probability", [](auto& p) { p.xtc_probability = 1.5F; }},
      {"xtc_threshold", [](auto& p) { p.xtc_threshold = kNan; }},
      {"dynatemp_range", [](auto& p) { p.dynatemp_range = kNan; }},
      {"dynatemp_exponent", [](auto& p) { p.dynatemp_exponent = kInfinity; }},
      {"mirostat", [](auto& p) { p.mirostat = 3; }},
      {"mirostat", [](auto& p) { p.mirostat = -1; }},
      {"mirostat_tau", [](auto& p) { p.mirostat_tau = kNan; }},
      {"mirostat_eta", [](auto& p) { p.mirostat_eta = kInfinity; }},
      {"adaptive_target", [](auto& p) { p.adaptive_target = kNan; }},
      {"adaptive_target", [](auto& p) { p.adaptive_target = 1.5F; }},
      {"adaptive_decay", [](auto& p) { p.adaptive_decay = 1.0F; }},
      {"order",
       [](auto& p) {
         p.order = {ChainStep::TopK, ChainStep::MinP, ChainStep::TopK};
       }},
  };
  for (const BadValue& value : bad) {
    const std::string text = refusal(value.change);
    EXPECT_NE(text.find(value.field), std::string::npos) << value.field << ": '" << text << "'";
  }
}

}  // namespace
}  // namespace foretoken::sampling
