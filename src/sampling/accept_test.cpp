// The acceptance rules against their promise: the emitted tokens have the target's law, whatever
// the draft's law. Deviates below 4 have a chance of 3e-5 of failing a right implementation, but
// seeds are fixed, so the outcome never varies.
#include "sampling/accept.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "base/error.h"
#include "sampling/chi_square.h"
#include "sampling/random_stream.h"
#include "sampling/sampler.h"

namespace foretoken::sampling {
namespace {

constexpr int kVocab = 8;
constexpr int kDraws = 200000;

Distribution law_of(const std::vector<double>& p) {
  Distribution law;
  for (std::size_t i = 0; i < p.size(); ++i) {
    if (p[i] > 0.0) {
      law.candidates.push_back({static_cast<TokenId>(i), 0.0F, static_cast<float>(p[i])});
    }
  }
  std::sort(law.candidates.begin(), law.candidates.end(),
            [](const Candidate& a, const Candidate& b) { return a.p > b.p; });
  return law;
}

std::vector<double> table_of(const Distribution& law) {
  std::vector<double> p(kVocab, 0.0);
  for (const Candidate& c : law.candidates) {
    p[static_cast<std::size_t>(c.id)] = static_cast<double>(c.p);
  }
  return p;
}

/// Law of one emitted token when a draft is drawn from `drafted_from` and judged as drawn from `q`.
struct Emitted {
  double deviate = 0.0;
  double accepted = 0.0;
};

Emitted emit(const Distribution& drafted_from, const Distribution& q, const Distribution& p,
             std::uint64_t seed) {
  RandomStream random(seed);
  std::vector<int> observed(kVocab, 0);
  int accepted = 0;
  const std::vector<Distribution> q_chain = {q};
  const std::vector<Distribution> p_chain = {p, p};
  for (int i = 0; i < kDraws; ++i) {
    const std::vector<TokenId> drafts = {draw(drafted_from, random.uniform())};
    const AcceptResult result =
        accept_sampled(drafts, q_chain, p_chain, [&] { return random.uniform(); });
    accepted += result.n_accepted;
    ++observed[static_cast<std::size_t>(result.n_accepted == 1 ? drafts[0] : result.next)];
  }
  return {chi_square_deviate(observed, table_of(p)), static_cast<double>(accepted) / kDraws};
}

std::vector<double> random_law(std::mt19937& random, double sharpness) {
  std::vector<double> p(kVocab);
  double sum = 0.0;
  for (double& x : p) {
    x = std::exp(sharpness * static_cast<double>(random() % 1000) / 1000.0);
    sum += x;
  }
  for (double& x : p) x /= sum;
  return p;
}

TEST(AcceptSampled, EmittedLawIsTheTargetsForRandomDraftLaws) {
  std::mt19937 random(1);
  for (int round = 0; round < 8; ++round) {
    const Distribution p = law_of(random_law(random, 3.0));
    const Distribution q = law_of(random_law(random, 6.0));
    const Emitted e = emit(q, q, p, static_cast<std::uint64_t>(round));
    EXPECT_LT(e.deviate, 4.0) << round;
    double overlap = 0.0;  // the acceptance rate is sum of min(p, q)
    for (int x = 0; x < kVocab; ++x) {
      overlap += static_cast<double>(std::min(p.probability_of(x), q.probability_of(x)));
    }
    EXPECT_NEAR(e.accepted, overlap, 0.005);
  }
}

TEST(AcceptSampled, ADraftLawFarFromTheTargetIsCorrected) {
  const Distribution p = law_of({0.7, 0.2, 0.05, 0.05, 0, 0, 0, 0});
  const Distribution q = law_of({0.01, 0.01, 0.01, 0.07, 0.9, 0, 0, 0});
  EXPECT_LT(emit(q, q, p, 2).deviate, 4.0);
}

TEST(AcceptSampled, DisjointSupportsAreNeverAccepted) {
  const Distribution p = law_of({0.5, 0.25, 0.25, 0, 0, 0, 0, 0});
  const Distribution q = law_of({0, 0, 0, 0.5, 0.5, 0, 0, 0});
  const Emitted e = emit(q, q, p, 3);
  EXPECT_EQ(e.accepted, 0.0);
  EXPECT_LT(e.deviate, 4.0);
}

TEST(AcceptSampled, EqualLawsAreAlwaysAccepted) {
  const Distribution p = law_of({0.3, 0.2, 0.2, 0.1, 0.1, 0.05, 0.03, 0.02});
  const Emitted e = emit(p, p, p, 4);
  EXPECT_EQ(e.accepted, 1.0);
  EXPECT_LT(e.deviate, 4.0);
}

TEST(AcceptSampled, PointMassDraftsAreKeptWithTheTargetsProbability) {
  const Distribution p = law_of({0.3, 0.2, 0.2, 0.1, 0.1, 0.05, 0.03, 0.02});
  for (const TokenId draft : {0, 4, 7}) {
    const Distribution point = Distribution::point_mass(draft);
    for (const Distribution& q : {point, Distribution{}}) {
      const Emitted e = emit(point, q, p, 5);
      EXPECT_LT(e.deviate, 4.0) << draft;
      EXPECT_NEAR(e.accepted, static_cast<double>(p.probability_of(draft)), 0.005);
    }
  }
}

TEST(AcceptSampled, AWrongDraftLawWouldBeNoticed) {
  // The check can fail: drafts from one law judged by another give a law that is not p.
  const Distribution p = law_of({0.3, 0.2, 0.2, 0.1, 0.1, 0.05, 0.03, 0.02});
  const Distribution q = law_of({0.2, 0.3, 0.1, 0.2, 0.1, 0.05, 0.03, 0.02});
  EXPECT_GT(emit(p, q, p, 6).deviate, 10.0);
}

TEST(AcceptSampled, GreedyTargetIsThePointMassCase) {
  const Distribution p = Distribution::point_mass(3);
  const Distribution q = law_of({0.25, 0.25, 0, 0.5, 0, 0, 0, 0});
  const Emitted e = emit(q, q, p, 7);
  EXPECT_NEAR(e.accepted, 0.5, 0.005);
  EXPECT_EQ(e.deviate, 0.0);  // only token 3 was ever emitted
}

/// A chain whose target law depends on the token before: the joint law of the first two emitted
/// tokens must be p(a) p(b | a).
TEST(AcceptSampled, ChainsKeepTheJointLaw) {
  constexpr int kSmall = 4;
  std::mt19937 setup(9);
  std::vector<Distribution> p_after;  // [kSmall + 1]; the last one is the law of the first token
  std::vector<Distribution> q_after;
  for (int i = 0; i <= kSmall; ++i) {
    std::vector<double> p = random_law(setup, 2.0);
    std::vector<double> q = random_law(setup, 3.0);
    for (int x = kSmall; x < kVocab; ++x) p[static_cast<std::size_t>(x)] = 0.0;
    for (int x = kSmall; x < kVocab; ++x) q[static_cast<std::size_t>(x)] = 0.0;
    double p_sum = 0.0;
    double q_sum = 0.0;
    for (int x = 0; x < kSmall; ++x) p_sum += p[static_cast<std::size_t>(x)];
    for (int x = 0; x < kSmall; ++x) q_sum += q[static_cast<std::size_t>(x)];
    for (double& x : p) x /= p_sum;
    for (double& x : q) x /= q_sum;
    p_after.push_back(law_of(p));
    q_after.push_back(law_of(q));
  }
  const auto after = [](const std::vector<Distribution>& laws, TokenId previous) {
    return laws[static_cast<std::size_t>(previous)];
  };
  RandomStream random(10);
  const Uniform uniform = [&] { return random.uniform(); };
  std::vector<int> observed(kSmall * kSmall, 0);
  for (int round = 0; round < kDraws; ++round) {
    const TokenId start = kSmall;
    std::vector<TokenId> emitted;
    while (emitted.size() < 2) {  // rounds of up to three drafts, as the engine runs them
      const TokenId last = emitted.empty() ? start : emitted.back();
      std::vector<TokenId> drafts;
      std::vector<Distribution> q;
      std::vector<Distribution> p = {after(p_after, last)};
      TokenId previous = last;
      for (int i = 0; i < 3; ++i) {
        q.push_back(after(q_after, previous));
        drafts.push_back(draw(q.back(), uniform()));
        previous = drafts.back();
        p.push_back(after(p_after, previous));
      }
      const AcceptResult result = accept_sampled(drafts, q, p, uniform);
      emitted.insert(emitted.end(), drafts.begin(), drafts.begin() + result.n_accepted);
      emitted.push_back(result.next);
    }
    ++observed[static_cast<std::size_t>(emitted[0] * kSmall + emitted[1])];
  }
  std::vector<double> joint;
  for (TokenId a = 0; a < kSmall; ++a) {
    for (TokenId b = 0; b < kSmall; ++b) {
      joint.push_back(static_cast<double>(p_after[kSmall].probability_of(a)) *
                      static_cast<double>(after(p_after, a).probability_of(b)));
    }
  }
  EXPECT_LT(chi_square_deviate(observed, joint), 4.0);
}

/// The same promise through the sampler's whole chain, at two temperatures and with penalties.
TEST(AcceptSampled, EmittedLawIsTheSamplersLaw) {
  std::mt19937 setup(11);
  std::normal_distribution<float> normal(0.0F, 1.0F);
  std::vector<float> target(kVocab);
  std::vector<float> head(kVocab);
  for (int i = 0; i < kVocab; ++i) {
    target[static_cast<std::size_t>(i)] = normal(setup);
    head[static_cast<std::size_t>(i)] = target[static_cast<std::size_t>(i)] + normal(setup);
  }
  for (const float temperature : {0.6F, 1.0F}) {
    SamplingParams params;
    params.temperature = temperature;
    params.top_k = 6;
    params.presence_penalty = 0.5F;
    params.seed = 12;
    Sampler sampler(params, kVocab, kVocab);
    sampler.accept(2);
    const Distribution p = sampler.distribution(target);
    const Distribution q = sampler.distribution(head);
    const Emitted e = emit(q, q, p, 13);
    EXPECT_LT(e.deviate, 4.0) << temperature;
    EXPECT_GT(e.accepted, 0.2);
    EXPECT_LT(e.accepted, 0.999);
  }
}

TEST(AcceptSampled, CountsAreClampedToWhatIsThere) {
  const Distribution p = law_of({0.5, 0.5});
  const std::vector<TokenId> drafts = {0, 1, 0, 1};
  const Uniform zero = [] { return 0.0; };
  const std::vector<Distribution> laws(5, p);
  const auto run = [&](std::size_t n_drafts, std::size_t n_q, std::size_t n_p) {
    return accept_sampled(std::span(drafts).first(n_drafts), std::span(laws).first(n_q),
                          std::span(laws).first(n_p), zero)
        .n_accepted;
  };
  EXPECT_EQ(run(4, 4, 5), 4);
  EXPECT_EQ(run(4, 4, 3), 2);
  EXPECT_EQ(run(4, 1, 5), 1);
  EXPECT_EQ(run(0, 4, 5), 0);
  EXPECT_EQ(run(4, 4, 1), 0);
  EXPECT_THROW(run(4, 4, 0), Error);
  EXPECT_THROW(accept_sampled(drafts, laws, std::vector<Distribution>(5), zero), Error);
}

TEST(AcceptSampled, ResidualLostToRoundingFallsBackToTheTarget) {
  const Distribution p = law_of({0.5, 0.5});
  EXPECT_EQ(draw_residual(0, p, p, 0.75), p.candidates[1].id);
}

TEST(AcceptSampled, LongLawsAreSearchedAsShortOnesAre) {
  // 300 candidates take the by-halves look-up: residual p - q is positive at the upper ids only.
  Distribution p;
  Distribution q;
  for (TokenId id = 0; id < 300; ++id) {
    p.candidates.push_back({id, 0.0F, 1.0F / 300.0F});
    q.candidates.push_back({id, 0.0F, id < 299 ? 1.0F / 299.0F : 0.0F});
  }
  for (const double u : {0.0, 0.5, 0.999}) EXPECT_EQ(draw_residual(5, q, p, u), 299);
}

TEST(AcceptGreedy, KeepsTheAgreeingPrefix) {
  const std::vector<TokenId> target = {5, 6, 7, 8};
  const auto run = [&](std::vector<TokenId> drafts) { return accept_greedy(drafts, target); };
  EXPECT_EQ(run({5, 6, 7}).n_accepted, 3);
  EXPECT_EQ(run({5, 6, 7}).next, 8);
  EXPECT_EQ(run({5, 9, 7}).n_accepted, 1);
  EXPECT_EQ(run({5, 9, 7}).next, 6);
  EXPECT_EQ(run({9}).n_accepted, 0);
  EXPECT_EQ(run({9}).next, 5);
  EXPECT_EQ(run({}).next, 5);
}

TEST(AcceptGreedy, ClampsDraftsBeyondTheTarget) {
  const std::vector<TokenId> drafts = {5, 6, 7, 8, 9};
  const std::vector<TokenId> target = {5, 6};
  EXPECT_EQ(accept_greedy(drafts, target).n_accepted, 1);
  EXPECT_EQ(accept_greedy(drafts, target).next, 6);
  EXPECT_THROW(accept_greedy(drafts, {}), Error);
}

}  // namespace
}  // namespace foretoken::sampling
