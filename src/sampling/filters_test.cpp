#include "sampling/filters.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace foretoken::sampling {
namespace {

/// Candidates whose probabilities at temperature 1 are `p`, ids in order.
CandidateList list_of(const std::vector<float>& p) {
  CandidateList list;
  for (std::size_t i = 0; i < p.size(); ++i) {
    list.items.push_back({static_cast<TokenId>(i), std::log(p[i]), 0.0F});
  }
  return list;
}

std::vector<TokenId> ids_of(CandidateList list) {
  list.sort_prefix(list.items.size());
  std::vector<TokenId> ids;
  for (const Candidate& c : list.items) ids.push_back(c.id);
  return ids;
}

using Ids = std::vector<TokenId>;

TEST(CandidateList, SortPrefixPutsTheLargestFirstAndCanGrow) {
  CandidateList list = list_of({0.1F, 0.4F, 0.2F, 0.3F});
  list.sort_prefix(2);
  EXPECT_EQ(list.items[0].id, 1);
  EXPECT_EQ(list.items[1].id, 3);
  list.sort_prefix(100);
  EXPECT_EQ(list.n_sorted, 4U);
  EXPECT_EQ(list.items[2].id, 2);
  EXPECT_EQ(list.items[3].id, 0);
}

TEST(TopP, KeepsTheSmallestSetThatReachesTheMass) {
  CandidateList list = list_of({0.1F, 0.4F, 0.2F, 0.3F});
  filter_top_p(list, 0.65F, 0);
  EXPECT_EQ(ids_of(list), (Ids{1, 3}));
}

TEST(TopP, KeepsOneAtZeroAndAllAtOne) {
  CandidateList list = list_of({0.1F, 0.4F, 0.2F, 0.3F});
  filter_top_p(list, 1.0F, 0);
  EXPECT_EQ(list.items.size(), 4U);
  filter_top_p(list, 0.0F, 0);
  EXPECT_EQ(ids_of(list), (Ids{1}));
}

TEST(TopP, HonoursMinKeep) {
  CandidateList list = list_of({0.1F, 0.4F, 0.2F, 0.3F});
  filter_top_p(list, 0.1F, 3);
  EXPECT_EQ(ids_of(list), (Ids{1, 3, 2}));
}

TEST(TopP, GrowsPastTheFirstSortedStretch) {
  CandidateList list;  // 5000 equal tokens: 90% of the mass is 4500 of them
  for (TokenId id = 0; id < 5000; ++id) list.items.push_back({id, 0.0F, 0.0F});
  filter_top_p(list, 0.9F, 0);
  EXPECT_NEAR(static_cast<double>(list.items.size()), 4500.0, 1.0);
  EXPECT_EQ(list.items.front().id, 0);
}

TEST(MinP, DropsTokensBelowAFractionOfTheBest) {
  CandidateList list = list_of({0.1F, 0.4F, 0.2F, 0.3F});
  filter_min_p(list, 0.6F, 0);
  EXPECT_EQ(ids_of(list), (Ids{1, 3}));
}

TEST(MinP, HonoursMinKeepAndSortedPrefixes) {
  CandidateList list = list_of({0.1F, 0.4F, 0.2F, 0.3F});
  list.sort_prefix(3);
  filter_min_p(list, 0.99F, 2);
  EXPECT_EQ(list.n_sorted, 2U);
  EXPECT_EQ(ids_of(list), (Ids{1, 3}));
  list = list_of({0.1F, 0.4F, 0.2F, 0.3F});
  list.sort_prefix(4);
  filter_min_p(list, 0.45F, 0);
  EXPECT_EQ(list.n_sorted, 3U);
  EXPECT_EQ(list.items.size(), 3U);
}

TEST(MinP, UnsortedAndSortedListsGiveTheSame) {
  std::mt19937 random(3);
  for (int round = 0; round < 50; ++round) {
    CandidateList list;
    for (TokenId id = 0; id < 300; ++id) {
      list.items.push_back({id, static_cast<float>(random() % 1000) * 0.01F, 0.0F});
    }
    CandidateList sorted = list;
    sorted.sort_prefix(random() % 301);
    filter_min_p(list, 0.05F, 0);
    filter_min_p(sorted, 0.05F, 0);
    ASSERT_EQ(ids_of(list), ids_of(sorted));
  }
}

TEST(Typical, KeepsTokensWhoseSurpriseIsNearTheEntropy) {
  // Entropy of {.5,.25,.125,.125} is 1.75 bits; surprises 1, 2, 3, 3 bits: distances .75,
  // .25, 1.25.
  CandidateList list = list_of({0.5F, 0.25F, 0.125F, 0.125F});
  filter_typical(list, 0.2F, 0);
  EXPECT_EQ(ids_of(list), (Ids{1}));  // the best token is not the most typical one
  list = list_of({0.5F, 0.25F, 0.125F, 0.125F});
  filter_typical(list, 0.6F, 0);
  EXPECT_EQ(ids_of(list), (Ids{0, 1}));
  list = list_of({0.5F, 0.25F, 0.125F, 0.125F});
  filter_typical(list, 0.2F, 3);
  EXPECT_EQ(ids_of(list), (Ids{0, 1, 2}));
}

TEST(Typical, SurvivesProbabilitiesThatUnderflow) {
  CandidateList list;
  list.items = {{0, 0.0F, 0.0F}, {1, -500.0F, 0.0F}, {2, -1000.0F, 0.0F}};
  filter_typical(list, 0.9F, 0);
  EXPECT_EQ(ids_of(list), (Ids{0}));
}

TEST(TopNSigma, MasksLogitsFarBelowTheBest) {
  const float minus_infinity = -std::numeric_limits<float>::infinity();
  // Finite logits 0, 0, 0, 4: mean 1, sigma sqrt(3); limit at n=1 is 4 - 1.73 = 2.27.
  std::vector<float> logits = {0.0F, 0.0F, minus_infinity, 0.0F, 4.0F};
  mask_below_n_sigma(logits, 1.0F);
  EXPECT_EQ(logits[4], 4.0F);
  EXPECT_EQ(logits[0], minus_infinity);
  std::vector<float> wide = {0.0F, 0.0F, 0.0F, 4.0F};
  mask_below_n_sigma(wide, 3.0F);
  EXPECT_EQ(wide[0], 0.0F);
  mask_below_n_sigma(wide, 0.0F);
  EXPECT_EQ(wide[0], 0.0F);
}

TEST(Temperature, SharpensAndFlattens) {
  // Logits log 1 and log 4 at temperature 2 have odds sqrt(4) = 2; at 0.5 they have odds 16.
  const Distribution warm = to_distribution(list_of({0.2F, 0.8F}), 2.0F);
  EXPECT_NEAR(warm.probability_of(1), 2.0 / 3.0, 1e-6);
  const Distribution cold = to_distribution(list_of({0.2F, 0.8F}), 0.5F);
  EXPECT_NEAR(cold.probability_of(1), 16.0 / 17.0, 1e-6);
  EXPECT_EQ(cold.top(), 1);
}

TEST(Temperature, ZeroGivesOneCandidate) {
  const Distribution law = to_distribution(list_of({0.2F, 0.4F, 0.4F}), 0.0F);
  ASSERT_EQ(law.candidates.size(), 1U);
  EXPECT_EQ(law.top(), 1);  // the lower id of the tie
  EXPECT_EQ(law.candidates.front().p, 1.0F);
}

TEST(Temperature, ExtremesStayFinite) {
  CandidateList list;
  const float largest = std::numeric_limits<float>::max();
  list.items = {{0, largest, 0.0F}, {1, -largest, 0.0F}, {2, 0.0F, 0.0F}};
  for (const float temperature : {1e-45F, 1e-30F, 1.0F, 1e30F}) {
    const Distribution law = to_distribution(list, temperature);
    double sum = 0.0;
    for (const Candidate& c : law.candidates) sum += static_cast<double>(c.p);
    EXPECT_NEAR(sum, 1.0, 1e-6) << temperature;
    EXPECT_EQ(law.top(), 0);
    EXPECT_GT(law.candidates.back().p, 0.0F);
  }
}

}  // namespace
}  // namespace foretoken::sampling
