#include "eval/kl_divergence.h"

#include <gtest/gtest.h>

#include <cmath>

namespace foretoken::eval {
namespace {

RoundedRow row_of(const std::vector<double>& probabilities) {
  std::vector<float> logits;
  for (const double p : probabilities) logits.push_back(static_cast<float>(std::log(p)));
  RoundedRow out;
  out.assign(logits);
  return out;
}

std::array<std::vector<double>, 2> scratch;  // NOLINT(*-avoid-non-const-global-variables)

// p = (1/2, 1/4, 1/4), q = (1/4, 1/2, 1/4): 1/2 ln 2 - 1/4 ln 2 = ln 2 / 4.
TEST(KlDivergence, OfTwoLawsIsTheTextbookSum) {
  const KlPlace place =
      compare_rows(row_of({0.5, 0.25, 0.25}), row_of({0.25, 0.5, 0.25}), 1, scratch);
  EXPECT_NEAR(place.divergence, std::log(2.0) / 4, 1e-4);
  EXPECT_NEAR(place.log_p_base, std::log(0.25), 1e-4);
  EXPECT_NEAR(place.log_p_measured, std::log(0.5), 1e-4);
  EXPECT_FALSE(place.same_top);
}

TEST(KlDivergence, OfALawAndItselfIsExactlyZero) {
  const RoundedRow row = row_of({0.7, 0.1, 0.1, 0.05, 0.05});
  const KlPlace place = compare_rows(row, row, 2, scratch);
  EXPECT_EQ(place.divergence, 0.0);
  EXPECT_EQ(place.log_p_base, place.log_p_measured);
  EXPECT_TRUE(place.same_top);
}

// Divergences 0, 1, 2, 3 and probabilities halved or doubled in turn.
TEST(KlDivergence, SummaryHasMeansErrorsAndPercentiles) {
  std::vector<KlPlace> places;
  for (int i = 0; i < 4; ++i) {
    const double ratio = i % 2 == 0 ? 0.5 : 2.0;
    places.push_back({.divergence = static_cast<double>(i),
                      .log_p_base = std::log(0.25),
                      .log_p_measured = std::log(0.25 * ratio),
                      .same_top = i == 0});
  }
  const KlDivergence r = summarize_places(places, 2);
  EXPECT_EQ(r.n_scored, 4U);
  EXPECT_EQ(r.measured.n_windows, 2);
  EXPECT_DOUBLE_EQ(r.divergence.value, 1.5);
  EXPECT_NEAR(r.divergence.standard_error, std::sqrt(5.0 / 3.0 / 4.0), 1e-12);
  EXPECT_DOUBLE_EQ(r.least, 0.0);
  EXPECT_DOUBLE_EQ(r.median, 1.5);
  EXPECT_DOUBLE_EQ(r.p90, 2.7);
  EXPECT_DOUBLE_EQ(r.most, 3.0);
  EXPECT_NEAR(r.base.value, 4.0, 1e-12);
  EXPECT_NEAR(r.base.standard_error, 0.0, 1e-6);
  EXPECT_NEAR(r.measured.value, 4.0, 1e-12);  // halves and doubles cancel
  EXPECT_NEAR(r.ratio.value, 1.0, 1e-12);
  EXPECT_NEAR(r.log_ratio.standard_error, std::log(2.0) / std::sqrt(3.0), 1e-12);
  // -1/8, +1/4, -1/8, +1/4
  EXPECT_NEAR(r.delta_p.value, 0.0625, 1e-12);
  EXPECT_NEAR(r.rms_delta_p.value, std::sqrt((2.0 / 64 + 2.0 / 16) / 4), 1e-12);
  EXPECT_DOUBLE_EQ(r.same_top.value, 0.25);
  EXPECT_NEAR(r.same_top.standard_error, std::sqrt(0.25 * 0.75 / 3), 1e-12);
}

TEST(KlDivergence, SummaryOfOnePlaceHasNoErrorsAndOfNoneIsZero) {
  const std::vector<KlPlace> one = {
      {.divergence = 0.5, .log_p_base = -1.0, .log_p_measured = -2.0}};
  const KlDivergence r = summarize_places(one, 1);
  EXPECT_DOUBLE_EQ(r.divergence.value, 0.5);
  EXPECT_DOUBLE_EQ(r.divergence.standard_error, 0.0);
  EXPECT_DOUBLE_EQ(r.p999, 0.5);
  EXPECT_NEAR(r.ratio.value, std::exp(1.0), 1e-12);
  EXPECT_EQ(summarize_places({}, 0).n_scored, 0U);
}

}  // namespace
}  // namespace foretoken::eval
