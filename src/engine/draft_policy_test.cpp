// The policy against simulated text and simulated costs: gain where drafts pay, and a bounded loss
// where they do not. The simulator knows the true acceptance and costs; the policy only what it is
// told.
#include "engine/draft_policy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "base/error.h"
#include "sampling/accept.h"
#include "sampling/chi_square.h"
#include "sampling/random_stream.h"

namespace foretoken::engine {
namespace {

/// What one drafted token looks like and whether the target keeps it.
struct SimulatedDraft {
  float confidence = 0.0F;
  double acceptance = 0.0;
};
using Text = std::function<SimulatedDraft(sampling::RandomStream&, int n_tokens_done)>;

/// Costs in units of a plain step.
struct Machine {
  std::function<double(int width)> verify;
  double draft = 0.05;
};

Machine linear_machine(double draft, double column) {
  return {[column](int width) { return 1.0 + column * (width - 1); }, draft};
}

/// Easy text: four tokens in five are all but certain, the rest a coin's throw.
SimulatedDraft easy(sampling::RandomStream& random, int /*n_tokens_done*/) {
  const double p = random.uniform() < 0.8 ? 0.97 : 0.3 + 0.4 * random.uniform();
  return {static_cast<float>(p), p};
}

/// Hard text: few tokens are likely.
SimulatedDraft hard(sampling::RandomStream& random, int /*n_tokens_done*/) {
  const double p = 0.05 + 0.45 * random.uniform();
  return {static_cast<float>(p), p};
}

/// A head that is sure of itself and wrong.
SimulatedDraft useless(sampling::RandomStream& random, int /*n_tokens_done*/) {
  return {static_cast<float>(0.5 + 0.5 * random.uniform()), 0.02};
}

/// A head that promises more than it keeps.
SimulatedDraft overconfident(sampling::RandomStream& random, int /*n_tokens_done*/) {
  const double p = random.uniform() < 0.7 ? 0.98 : 0.4 + 0.5 * random.uniform();
  return {static_cast<float>(p), 0.9 * p * p};
}

/// 400 easy tokens, 400 hard ones, and so on.
SimulatedDraft mixed(sampling::RandomStream& random, int n_tokens_done) {
  return (n_tokens_done / 400) % 2 == 0 ? easy(random, 0) : hard(random, 0);
}

struct Outcome {
  double seconds = 0.0;
  int tokens = 0;
  int drafts = 0;
  double costliest_round = 0.0;
  double speedup() const { return tokens / seconds; }  // a plain step takes 1
};

/// Runs the policy as the engine does. `noise`: relative spread of the times it is told.
Outcome simulate(DraftPolicy& policy, const Text& text, const Machine& machine, int n_tokens,
                 std::uint64_t seed, double noise = 0.0,
                 DraftChoice choice = DraftChoice::Favourite) {
  sampling::RandomStream random(seed);
  Outcome out;
  while (out.tokens < n_tokens) {
    std::vector<float> confidence;
    std::vector<double> truth;
    const int limit = policy.begin_round(choice);
    bool drop_last = false;
    while (static_cast<int>(confidence.size()) < limit) {
      const SimulatedDraft draft = text(random, out.tokens);
      confidence.push_back(draft.confidence);
      truth.push_back(draft.acceptance);
      const DraftDecision decision = policy.decide(confidence);
      drop_last = decision == DraftDecision::Drop;
      if (decision != DraftDecision::KeepAndContinue) break;
    }
    const std::span<const float> all = confidence;
    const int n = policy.n_to_verify(all.first(all.size() - (drop_last ? 1 : 0)));
    int accepted = 0;
    while (accepted < n && random.uniform() < truth[static_cast<std::size_t>(accepted)]) ++accepted;
    const double verify = machine.verify(n + 1) * (1.0 + noise * (random.uniform() - 0.5));
    const int steps = static_cast<int>(confidence.size());
    const double draft = steps * machine.draft;
    policy.observe_costs(n + 1, verify, steps, draft);
    policy.observe(confidence, n, accepted);
    out.seconds += verify + draft;
    out.tokens += accepted + 1;
    out.drafts += steps;
    out.costliest_round = std::max(out.costliest_round, verify + draft);
  }
  return out;
}

constexpr int kTokens = 20000;

double adaptive_speedup(const Text& text, const Machine& machine, int n_max = 8) {
  DraftPolicy policy({.n_max = n_max});
  return simulate(policy, text, machine, kTokens, 1).speedup();
}

double best_fixed_speedup(const Text& text, const Machine& machine, int n_max = 8) {
  double best = 1.0;
  for (int n = 1; n <= n_max; ++n) {
    DraftPolicy policy({.n_max = n}, false);
    best = std::max(best, simulate(policy, text, machine, kTokens, 1).speedup());
  }
  return best;
}

struct Scenario {
  const char* name;
  Text text;
  Machine machine;
};

const std::vector<Scenario>& scenarios() {
  static const std::vector<Scenario> all = {
      {"easy, cheap", easy, linear_machine(0.045, 0.01)},
      {"easy, full head", easy, linear_machine(0.19, 0.02)},
      {"easy, dear columns", easy, linear_machine(0.19, 0.2)},
      {"hard, cheap", hard, linear_machine(0.045, 0.01)},
      {"hard, dear columns", hard, linear_machine(0.19, 0.2)},
      {"easy, one column costs as much as a step", easy, linear_machine(0.19, 1.0)},
      {"easy, a jump at width 2", easy, {[](int w) { return w == 1 ? 1.0 : 1.6; }, 0.05}},
      {"easy, a jump at width 5", easy, {[](int w) { return w < 5 ? 1.0 : 2.0; }, 0.05}},
      {"overconfident, cheap", overconfident, linear_machine(0.045, 0.01)},
      {"overconfident, dear columns", overconfident, linear_machine(0.19, 0.2)},
      {"mixed, cheap", mixed, linear_machine(0.045, 0.01)},
      {"mixed, dear columns", mixed, linear_machine(0.1, 0.2)},
      {"useless head, cheap", useless, linear_machine(0.045, 0.01)},
      {"useless head, dear columns", useless, linear_machine(0.3, 1.0)},
      {"useless head, width 2 costs six steps",
       useless,
       {[](int w) { return w == 1 ? 1.0 : 6.0; }, 0.2}},
  };
  return all;
}

TEST(DraftPolicy, ReachesTheBestFixedLengthInEveryScenario) {
  for (const Scenario& s : scenarios()) {
    const double adaptive = adaptive_speedup(s.text, s.machine);
    const double fixed = best_fixed_speedup(s.text, s.machine);
    RecordProperty(s.name, std::to_string(adaptive) + " against " + std::to_string(fixed));
    EXPECT_GE(adaptive, 0.95 * fixed) << s.name << ": " << adaptive << " against " << fixed;
  }
}

TEST(DraftPolicy, IsNeverSlowerThanPlainDecodingBeyondTheStatedBound) {
  for (const Scenario& s : scenarios()) {
    for (const int n_max : {1, 3, 8}) {
      DraftPolicy policy({.n_max = n_max});
      const Outcome out = simulate(policy, s.text, s.machine, kTokens, 2);
      const double bound = (1.0 + DraftPolicy::kProbeShare) * out.tokens + DraftPolicy::kCredit +
                           out.costliest_round;
      EXPECT_LE(out.seconds, bound) << s.name << " " << n_max;
      EXPECT_GE(out.speedup(), 0.98) << s.name << " " << n_max;
    }
  }
}

TEST(DraftPolicy, ShortRepliesLoseNoMoreThanTheCredit) {
  for (const Scenario& s : scenarios()) {
    DraftPolicy policy({.n_max = 8});
    const Outcome out = simulate(policy, s.text, s.machine, 100, 3);
    EXPECT_LE(out.seconds, out.tokens * 1.01 + DraftPolicy::kCredit + out.costliest_round)
        << s.name;
  }
}

TEST(DraftPolicy, AHeadThatNeverHitsIsParkedWithinAShortReply) {
  const Text never = [](sampling::RandomStream& random, int) -> SimulatedDraft {
    return {static_cast<float>(0.5 + 0.5 * random.uniform()), 0.0};
  };
  for (const Machine& machine : {linear_machine(0.045, 0.01), linear_machine(0.1, 0.05),
                                 linear_machine(0.19, 0.2), linear_machine(0.3, 1.0)}) {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      DraftPolicy policy({.n_max = 3});
      const Outcome out = simulate(policy, never, machine, 96, seed);
      EXPECT_LE(out.seconds, 1.05 * out.tokens) << out.drafts << " drafts";
    }
  }
}

TEST(DraftPolicy, AGoodHeadIsUsedFromTheSecondRoundOn) {
  for (const Machine& machine : {linear_machine(0.045, 0.01), linear_machine(0.19, 0.02)}) {
    double seconds = 0.0;
    double best = 0.0;
    int tokens = 0;
    int best_tokens = 0;
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
      DraftPolicy policy({.n_max = 8});
      const Outcome out = simulate(policy, easy, machine, 48, seed);
      seconds += out.seconds;
      tokens += out.tokens;
      DraftPolicy fixed({.n_max = 4}, false);
      const Outcome drafted = simulate(fixed, easy, machine, 48, seed);
      best += drafted.seconds;
      best_tokens += drafted.tokens;
    }
    EXPECT_GT(tokens / seconds, 0.85 * best_tokens / best);
  }
}

TEST(DraftPolicy, ShortTextsAfterEachOtherPayForAUselessHeadOnlyOnce) {
  const Machine machine = linear_machine(0.1, 0.05);
  auto costs = std::make_shared<CostTable>();
  DraftPolicy first({.n_max = 3}, true, costs);
  simulate(first, useless, machine, 96, 1);
  DraftExperience experience = first.experience();
  double seconds = 0.0;
  int tokens = 0;
  for (std::uint64_t seed = 2; seed < 42; ++seed) {
    DraftPolicy policy({.n_max = 3}, true, costs);
    policy.learn(experience);
    const Outcome out = simulate(policy, useless, machine, 96, seed);
    experience = policy.experience();
    seconds += out.seconds;
    tokens += out.tokens;
  }
  EXPECT_LE(seconds, 1.02 * tokens);
  // And one that became good is used within a short text.
  DraftPolicy policy({.n_max = 3}, true, costs);
  policy.learn(experience);
  EXPECT_GT(simulate(policy, easy, machine, 200, 50).speedup(), 1.4);
}

TEST(DraftPolicy, AStallInTheFirstDraftDoesNotParkAGoodHead) {
  // Weights of the head that were never touched: the first round of drafts takes 30 plain steps.
  const Machine machine = linear_machine(0.1, 0.02);
  DraftPolicy policy({.n_max = 4});
  simulate(policy, easy, machine, 1, 1);  // a plain step
  ASSERT_EQ(policy.begin_round(DraftChoice::Favourite), 4);
  const std::vector<float> confidence = {0.9F, 0.9F};
  policy.observe_costs(3, machine.verify(3), 2, 30.0);
  policy.observe(confidence, 2, 2);
  const Outcome out = simulate(policy, easy, machine, 100, 2);
  EXPECT_GT(out.drafts, 50);
  EXPECT_GT(out.speedup(), 1.5);
}

TEST(DraftPolicy, AGoodHeadIsUsedFromTheFirstRoundOfTheNextText) {
  const Machine machine = linear_machine(0.045, 0.01);
  auto costs = std::make_shared<CostTable>();
  DraftPolicy first({.n_max = 4}, true, costs);
  simulate(first, easy, machine, 500, 1);
  DraftPolicy next({.n_max = 4}, true, costs);
  next.learn(first.experience());
  EXPECT_EQ(next.begin_round(DraftChoice::Favourite), 4);
  EXPECT_FALSE(next.parked());
}

TEST(DraftPolicy, SharedPassesCostEveryoneInThem) {
  // One more column costs a tenth of a pass. Alone that pays for a draft kept 7 times in 10; with
  // 31 streams waiting for it, it does not.
  const auto pays = [](int n_others) {
    auto costs = std::make_shared<CostTable>();
    for (int width = 1; width <= 64; ++width) costs->observe_verify(width, 1.0 + 0.1 * width);
    DraftPolicy policy({.n_max = 4}, true, costs);
    policy.begin_round(DraftChoice::Favourite, {.n_other_columns = n_others,
                                                .n_other_tokens = static_cast<double>(n_others)});
    return !policy.parked();
  };
  EXPECT_TRUE(pays(0));
  EXPECT_FALSE(pays(31));
}

TEST(DraftPolicy, APlainStepMustBeKnownAtTheWidthOfTheOthers) {
  auto costs = std::make_shared<CostTable>();
  costs->observe_verify(1, 1.0);
  DraftPolicy policy({.n_max = 4}, true, costs);
  EXPECT_EQ(policy.begin_round(DraftChoice::Favourite, {3, 3.0}), 0);
  costs->observe_verify(4, 1.1);
  EXPECT_EQ(policy.begin_round(DraftChoice::Favourite, {3, 3.0}), 4);
  EXPECT_NEAR(policy.expected_reach(1), 0.49, 1e-9);
  EXPECT_EQ(policy.expected_reach(4), 0.0);
}

TEST(DraftPolicy, AdaptingBeatsEveryFixedLengthOnMixedText) {
  const Machine machine = linear_machine(0.1, 0.2);
  EXPECT_GT(adaptive_speedup(mixed, machine), 1.03 * best_fixed_speedup(mixed, machine));
}

TEST(DraftPolicy, NoisyTimesDoNotMisleadIt) {
  const Machine machine = linear_machine(0.045, 0.01);
  DraftPolicy policy({.n_max = 8});
  const double noisy = simulate(policy, easy, machine, kTokens, 4, 0.4).speedup();
  EXPECT_GE(noisy, 0.9 * best_fixed_speedup(easy, machine));
}

TEST(DraftPolicy, ParksOnAUselessHeadAndComesBackOnEasyText) {
  const Machine machine = linear_machine(0.1, 0.1);
  DraftPolicy policy({.n_max = 4});
  simulate(policy, useless, machine, 2000, 5);
  EXPECT_TRUE(policy.parked());
  EXPECT_EQ(policy.expected_speedup(), 1.0);
  const Outcome parked = simulate(policy, useless, machine, 5000, 6);
  EXPECT_LT(parked.drafts, 5000 / 8);
  const Outcome after = simulate(policy, easy, machine, 3000, 7);
  EXPECT_FALSE(policy.parked());
  EXPECT_GT(after.speedup(), 0.85 * best_fixed_speedup(easy, machine, 4));
  EXPECT_GT(policy.expected_speedup(), 1.5);
}

TEST(DraftPolicy, FollowsAChangeOfCosts) {
  // Columns that were free become dear, as with more load or a longer context.
  DraftPolicy policy({.n_max = 8});
  simulate(policy, easy, linear_machine(0.045, 0.01), 5000, 8);
  const Machine dear = linear_machine(0.19, 0.6);
  const Outcome after = simulate(policy, easy, dear, 5000, 9);
  EXPECT_GT(after.speedup(), 0.93 * best_fixed_speedup(easy, dear));
}

TEST(DraftPolicy, DrawnDraftsGainAsMuchAsFavourites) {
  for (const Scenario& s : scenarios()) {
    DraftPolicy policy({.n_max = 8});
    const Outcome out = simulate(policy, s.text, s.machine, kTokens, 1, 0.0, DraftChoice::Drawn);
    const double bound =
        (1.0 + DraftPolicy::kProbeShare) * out.tokens + DraftPolicy::kCredit + out.costliest_round;
    EXPECT_LE(out.seconds, bound) << s.name;
    EXPECT_GE(out.speedup(), 0.95 * best_fixed_speedup(s.text, s.machine)) << s.name;
  }
}

TEST(DraftPolicy, DrawnDraftsAreAlwaysVerified) {
  // Dropping a drawn token on later evidence would bend the text's law.
  sampling::RandomStream random(12);
  for (const bool is_adaptive : {false, true}) {
    DraftPolicy policy({.n_max = 6, .n_min = 3, .p_min = 0.1F}, is_adaptive);
    int n_short = 0;
    for (int round = 0; round < 3000; ++round) {
      std::vector<float> kept;
      std::vector<float> confidence;
      const int limit = policy.begin_round(DraftChoice::Drawn);
      while (static_cast<int>(kept.size()) < limit) {
        confidence.push_back(static_cast<float>(std::sqrt(random.uniform())));
        const DraftDecision decision = policy.decide(confidence);
        if (decision == DraftDecision::Drop) break;
        kept.push_back(confidence.back());
        if (decision == DraftDecision::KeepAndStop) break;
      }
      const int n = policy.n_to_verify(kept);
      ASSERT_EQ(n, static_cast<int>(kept.size()));
      n_short += n > 0 && n < 3 ? 1 : 0;
      policy.observe_costs(n + 1, 1.0 + 0.1 * n, static_cast<int>(confidence.size()),
                           0.05 * static_cast<double>(confidence.size()));
      int accepted = 0;
      while (accepted < n && random.uniform() < 0.8) ++accepted;
      policy.observe(confidence, n, accepted);
    }
    EXPECT_GT(n_short, 0);  // the case did occur: short drafts that favourites would have dropped
  }
}

/// A text over three tokens in which the next token's law depends on the last, drafted by a head
/// with laws of its own and a policy at work. Returns how far the text is from the target's law.
double deviate_of_text(DraftPolicy policy, DraftChoice told_to_policy) {
  using sampling::Distribution;
  const auto law = [](float a, float b, float c) {
    return Distribution{{{0, 0.0F, a}, {1, 0.0F, b}, {2, 0.0F, c}}};
  };
  // After token 0 the head is fairly sure and right, after the others it is neither: how sure it is
  // of a position tells which token was drawn before it, and the policy learns to act on that.
  const std::vector<Distribution> target = {law(0.75F, 0.15F, 0.1F), law(0.1F, 0.1F, 0.8F),
                                            law(0.8F, 0.1F, 0.1F)};
  const std::vector<Distribution> head = {law(0.8F, 0.1F, 0.1F), law(0.4F, 0.4F, 0.2F),
                                          law(0.2F, 0.4F, 0.4F)};
  const auto after = [](const std::vector<Distribution>& laws, TokenId token) {
    return laws[static_cast<std::size_t>(token)];
  };
  sampling::RandomStream random(13);
  std::vector<std::vector<int>> observed(3, std::vector<int>(3, 0));
  TokenId last = 0;
  for (int round = 0; round < 100000; ++round) {
    const int limit = policy.begin_round(told_to_policy);
    std::vector<float> confidence;
    std::vector<TokenId> drafts;
    std::vector<Distribution> q;
    while (static_cast<int>(drafts.size()) < limit) {
      q.push_back(after(head, drafts.empty() ? last : drafts.back()));
      confidence.push_back(q.back().top_probability());
      const DraftDecision decision = policy.decide(confidence);
      if (decision == DraftDecision::Drop) break;
      drafts.push_back(sampling::draw(q.back(), random.uniform()));
      if (decision == DraftDecision::KeepAndStop) break;
    }
    drafts.resize(static_cast<std::size_t>(
        policy.n_to_verify(std::span<const float>(confidence).first(drafts.size()))));
    std::vector<Distribution> p = {after(target, last)};
    for (const TokenId draft : drafts) p.push_back(after(target, draft));
    const auto result = sampling::accept_sampled(drafts, q, p, [&] { return random.uniform(); });
    const int n = static_cast<int>(drafts.size());
    drafts.resize(static_cast<std::size_t>(result.n_accepted));
    drafts.push_back(result.next);
    for (const TokenId token : drafts) {
      ++observed[static_cast<std::size_t>(last)][static_cast<std::size_t>(token)];
      last = token;
    }
    policy.observe_costs(n + 1, 1.0 + 0.25 * n, static_cast<int>(confidence.size()),
                         0.1 * static_cast<double>(confidence.size()));
    policy.observe(confidence, n, result.n_accepted);
  }
  double worst = 0.0;
  for (TokenId token = 0; token < 3; ++token) {
    std::vector<double> expected;
    for (const sampling::Candidate& c : after(target, token).candidates) {
      expected.push_back(static_cast<double>(c.p));
    }
    worst = std::max(
        worst, sampling::chi_square_deviate(observed[static_cast<std::size_t>(token)], expected));
  }
  return worst;
}

TEST(DraftPolicy, TextHasTheTargetsLawWhateverIsDecided) {
  const DraftLimits limits{.n_max = 4, .n_min = 2, .p_min = 0.5F};
  EXPECT_LT(deviate_of_text(DraftPolicy(limits, true), DraftChoice::Drawn), 4.0);
  EXPECT_LT(deviate_of_text(DraftPolicy(limits, false), DraftChoice::Drawn), 4.0);
  EXPECT_LT(deviate_of_text(DraftPolicy({.n_max = 4}, true), DraftChoice::Drawn), 4.0);
}

TEST(DraftPolicy, DroppingDrawnDraftsWouldBendTheLaw) {
  // Why DraftChoice exists: when n_min drops drafts that were drawn, the text is another one. The
  // check above can therefore fail.
  const DraftLimits limits{.n_max = 4, .n_min = 2, .p_min = 0.5F};
  EXPECT_GT(deviate_of_text(DraftPolicy(limits, false), DraftChoice::Favourite), 10.0);
}

TEST(DraftPolicy, FirstRoundIsPlainToLearnWhatAPlainStepCosts) {
  DraftPolicy policy({.n_max = 3});
  EXPECT_EQ(policy.begin_round(DraftChoice::Favourite), 0);
  EXPECT_EQ(policy.n_to_verify({}), 0);
  policy.observe_costs(1, 1.0, 0, 0.0);
  policy.observe({}, 0, 0);
  EXPECT_EQ(policy.begin_round(DraftChoice::Favourite), 3);
}

TEST(DraftPolicy, DraftsInCompanyWhatWouldNotPayAlone) {
  // A pass costs the same whatever its width; a draft step alone costs more than a token is worth,
  // an even share of one of four does not.
  const auto costs = std::make_shared<CostTable>();
  for (int round = 0; round < 4; ++round) {
    for (const int width : {1, 2, 3, 4}) costs->observe_verify(width, 1.0);
    costs->observe_draft(1, 1.2, 1);
    costs->observe_draft(1, 1.3, 4);
  }
  DraftPolicy alone({.n_max = 3}, true, costs);
  alone.begin_round(DraftChoice::Favourite);
  EXPECT_TRUE(alone.parked());
  DraftPolicy in_company({.n_max = 3}, true, costs);
  EXPECT_EQ(in_company.begin_round(DraftChoice::Favourite, {.n_drafting = 4}), 3);
  EXPECT_FALSE(in_company.parked());
  EXPECT_GE(in_company.n_planned(), 1);
  // Left behind by the others it stops.
  const std::vector<float> sure = {0.99F};
  EXPECT_EQ(in_company.decide(sure, 4), DraftDecision::KeepAndContinue);
  EXPECT_EQ(in_company.decide(sure, 1), DraftDecision::KeepAndStop);
}

TEST(DraftPolicy, NeverExceedsTheCeiling) {
  for (int n_max = 0; n_max <= kMaxDraftChain; ++n_max) {
    DraftPolicy policy({.n_max = n_max});
    const Machine free_machine = linear_machine(0.001, 0.0);
    sampling::RandomStream random(10);
    for (int round = 0; round < 200; ++round) {
      const int limit = policy.begin_round(DraftChoice::Favourite);
      ASSERT_LE(limit, n_max);
      std::vector<float> confidence;
      while (static_cast<int>(confidence.size()) < limit) {
        confidence.push_back(0.99F);
        if (policy.decide(confidence) != DraftDecision::KeepAndContinue) break;
      }
      ASSERT_LE(policy.n_to_verify(confidence), n_max);
      const int n = policy.n_to_verify(confidence);
      policy.observe_costs(n + 1, free_machine.verify(n + 1), static_cast<int>(confidence.size()),
                           0.001);
      policy.observe(confidence, n, n);
    }
  }
}

TEST(DraftPolicy, FixedModeAlwaysDraftsToTheCeilingUnlessPMinStops) {
  DraftPolicy policy({.n_max = 3, .n_min = 0, .p_min = 0.5F}, false);
  EXPECT_EQ(policy.begin_round(DraftChoice::Favourite), 3);
  EXPECT_EQ(policy.decide(std::vector<float>{0.6F}), DraftDecision::KeepAndContinue);
  EXPECT_EQ(policy.decide(std::vector<float>{0.6F, 0.4F}), DraftDecision::Drop);
  EXPECT_EQ(policy.decide(std::vector<float>{0.6F, 0.5F, 0.9F}), DraftDecision::KeepAndStop);
  EXPECT_EQ(policy.n_to_verify(std::vector<float>{0.6F}), 1);
  EXPECT_EQ(policy.n_to_verify(std::vector<float>{0.6F, 0.4F, 0.9F}), 1);
  EXPECT_FALSE(policy.parked());
}

TEST(DraftPolicy, DraftsShorterThanTheMinimumAreDropped) {
  DraftPolicy fixed({.n_max = 3, .n_min = 2, .p_min = 0.5F}, false);
  fixed.begin_round(DraftChoice::Favourite);
  EXPECT_EQ(fixed.n_to_verify(std::vector<float>{0.9F}), 0);
  EXPECT_EQ(fixed.n_to_verify(std::vector<float>{0.9F, 0.9F}), 2);
  EXPECT_EQ(fixed.n_to_verify(std::vector<float>{0.9F, 0.1F}), 0);
  DraftPolicy adaptive({.n_max = 4, .n_min = 3});
  sampling::RandomStream random(11);
  for (int round = 0; round < 500; ++round) {
    std::vector<float> confidence;
    const int limit = adaptive.begin_round(DraftChoice::Favourite);
    while (static_cast<int>(confidence.size()) < limit) {
      confidence.push_back(static_cast<float>(random.uniform()));
      if (adaptive.decide(confidence) != DraftDecision::KeepAndContinue) break;
    }
    const int n = adaptive.n_to_verify(confidence);
    ASSERT_TRUE(n == 0 || n >= 3) << n;
    adaptive.observe_costs(n + 1, 1.0 + 0.05 * n, static_cast<int>(confidence.size()),
                           0.05 * static_cast<double>(confidence.size()));
    adaptive.observe(confidence, n, n / 2);
  }
}

TEST(DraftPolicy, PMinIsHonouredWhenAdaptive) {
  DraftPolicy policy({.n_max = 4, .n_min = 0, .p_min = 0.9F});
  policy.begin_round(DraftChoice::Favourite);
  policy.observe_costs(1, 1.0, 0, 0.0);
  policy.observe({}, 0, 0);
  ASSERT_EQ(policy.begin_round(DraftChoice::Favourite), 4);
  EXPECT_EQ(policy.decide(std::vector<float>{0.95F, 0.89F}), DraftDecision::Drop);
  EXPECT_EQ(policy.n_to_verify(std::vector<float>{0.95F, 0.89F, 0.99F}), 1);
}

TEST(DraftPolicy, SurvivesNonsenseInput) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  DraftPolicy policy({.n_max = 8});
  const std::vector<float> confidence(40, std::numeric_limits<float>::quiet_NaN());
  for (const double seconds : {1.0, nan, -1.0, 0.0, HUGE_VAL}) {
    static_cast<void>(policy.begin_round(DraftChoice::Favourite));
    static_cast<void>(policy.decide(confidence));
    static_cast<void>(policy.n_to_verify(confidence));
    policy.observe_costs(100, seconds, -3, seconds);
    policy.observe_costs(-1, seconds, 3, seconds);
    policy.observe_costs(1, seconds, 3, seconds);
    policy.observe(confidence, 1000, 2000);
    policy.observe(confidence, -5, -7);
  }
  EXPECT_TRUE(std::isfinite(policy.expected_speedup()));
}

TEST(DraftPolicy, RefusesLimitsOutOfRangeByFlag) {
  const auto refusal = [](const DraftLimits& limits) -> std::string {
    try {
      DraftPolicy policy(limits);
    } catch (const RequestError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_NE(refusal({.n_max = 9}).find("--spec-draft-n-max 9"), std::string::npos);
  EXPECT_NE(refusal({.n_max = -1}).find("--spec-draft-n-max"), std::string::npos);
  EXPECT_NE(refusal({.n_max = 3, .n_min = -1}).find("--spec-draft-n-min"), std::string::npos);
  EXPECT_NE(refusal({.n_max = 3, .n_min = 0, .p_min = 1.5F}).find("--spec-draft-p-min"),
            std::string::npos);
  EXPECT_EQ(refusal({.n_max = 0}), "");
}

}  // namespace
}  // namespace foretoken::engine
