#include "engine/draft_policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/error.h"

namespace foretoken::engine {
namespace {

/// A plain step is measured again after 8, 16, ... and then every 128 rounds with drafts: its cost
/// grows with the context, and the first one ever is often slow. At a speed-up of 3 that costs
/// 0.5%.
constexpr int kLongestPlainInterval = 128;

/// A pass is charged at most this many times what its width takes: a pause of the system is no cost
/// of drafting, and a lasting change shows in the table.
constexpr double kLargestSurprise = 2.0;

/// Another text is like the last one, but not the same.
constexpr double kExperienceShare = 0.25;

}  // namespace

void validate(const DraftLimits& limits) {
  if (limits.n_max < 0 || limits.n_max > kMaxDraftChain) {
    throw RequestError(fmt::format("--spec-draft-n-max {} is out of range: expected 0 to {}",
                                   limits.n_max, kMaxDraftChain));
  }
  if (limits.n_min < 0 || limits.n_min > kMaxDraftChain) {
    throw RequestError(fmt::format("--spec-draft-n-min {} is out of range: expected 0 to {}",
                                   limits.n_min, kMaxDraftChain));
  }
  if (!(limits.p_min >= 0.0F && limits.p_min <= 1.0F)) {
    throw RequestError(
        fmt::format("--spec-draft-p-min {} is out of range: expected 0 to 1", limits.p_min));
  }
}

DraftPolicy::DraftPolicy(const DraftLimits& limits, bool adaptive, std::shared_ptr<CostTable> costs)
    : limits_(limits),
      adaptive_(adaptive),
      costs_(costs ? std::move(costs) : std::make_shared<CostTable>()) {
  validate(limits);
}

void DraftPolicy::learn(const DraftExperience& experience) {
  acceptance_ = experience.acceptance;
  acceptance_.fade(kExperienceShare);
  balance_ = std::clamp(experience.balance, kNextCredit, kCredit);
  drafted_rounds_ = experience.drafted_rounds;
  plain_interval_ = experience.plain_interval;
}

DraftExperience DraftPolicy::experience() const {
  return {acceptance_, balance_, drafted_rounds_, plain_interval_};
}

double DraftPolicy::extra_seconds(int n_drafts) const {
  return costs_->verify_seconds(plain_width() + n_drafts) - plain_seconds();
}

/// R: the best of plain decoding and every fixed length, at the expected acceptance; tokens of the
/// others included.
double DraftPolicy::best_rate() const {
  double tokens = 1.0 + share_.n_other_tokens;
  double best = tokens / plain_seconds();
  double reach = 1.0;
  for (int n = 1; n <= limits_.n_max; ++n) {
    reach *= acceptance_.expected_at(n - 1);
    tokens += reach;
    if (n < limits_.n_min) continue;
    const double seconds = costs_->verify_seconds(plain_width() + n) + n * draft_seconds();
    best = std::max(best, tokens / seconds);
  }
  return best;
}

double DraftPolicy::expected_reach(int position) const {
  if (position < 0 || position >= limits_.n_max || limits_.n_min > limits_.n_max) return 0.0;
  double reach = 1.0;
  for (int i = 0; i <= position; ++i) reach *= acceptance_.expected_at(i);
  return reach;
}

/// Drafts of a probe: the shortest draft allowed.
int DraftPolicy::probe_length() const {
  return std::min(std::max(1, limits_.n_min), limits_.n_max);
}

/// Tokens that could have been had in the extra time of a probe.
double DraftPolicy::probe_cost() const {
  const int n = probe_length();
  return (1.0 + share_.n_other_tokens) * (extra_seconds(n) + n * draft_seconds()) / plain_seconds();
}

bool DraftPolicy::needs_plain_round() const {
  return !costs_->knows(plain_width()) || drafted_rounds_ >= plain_interval_;
}

int DraftPolicy::begin_round(DraftChoice choice, const PassShare& share) {
  choice_ = choice;
  share_ = share;
  forced_ = 0;
  limit_ = 0;
  knew_draft_ = costs_->knows_draft(share.n_drafting);
  if (limits_.n_max == 0 || limits_.n_min > limits_.n_max) return 0;
  if (!adaptive_) return limit_ = limits_.n_max;
  if (needs_plain_round()) return 0;
  rate_ = best_rate();
  const bool pays = best_beyond({}, share.n_drafting).value > 0.0;
  parked_ = !pays || balance_ < 0.0;
  if (parked_) {
    if (balance_ < std::min(probe_cost(), kCredit)) return 0;
    forced_ = probe_length();
  }
  return limit_ = limits_.n_max;
}

/// The leading drafts that satisfy p_min.
std::span<const float> DraftPolicy::above_p_min(std::span<const float> confidence) const {
  const auto first_below = std::find_if(confidence.begin(), confidence.end(),
                                        [this](float p) { return !(p >= limits_.p_min); });
  return confidence.first(static_cast<std::size_t>(first_below - confidence.begin()));
}

/// The best number of these drafts to verify: 0 or n_min and up for favourites; for drawn ones all
/// but the newest, whose token is not drawn yet, or all.
DraftPolicy::Stop DraftPolicy::best_stop(std::span<const float> confidence) const {
  const int n_drafted = static_cast<int>(confidence.size());
  const bool drawn = choice_ == DraftChoice::Drawn;
  const int fewest = std::max(drawn ? n_drafted - 1 : limits_.n_min, forced_);
  const bool may_drop_all = forced_ == 0 && (!drawn || n_drafted <= 1);
  Stop best{.n = 0, .value = may_drop_all ? 0.0 : -std::numeric_limits<double>::infinity()};
  double reach = 1.0;
  double gained = 0.0;
  for (int n = 1; n <= n_drafted; ++n) {
    reach *= acceptance_.acceptance(confidence[static_cast<std::size_t>(n - 1)], n - 1);
    gained += reach;
    if (n < fewest) continue;
    const double value = gained - rate_ * extra_seconds(n);
    if (value > best.value) best = {.n = n, .value = value};
  }
  return best;
}

/// The best longer draft, the further steps paid for.
DraftPolicy::Stop DraftPolicy::best_beyond(std::span<const float> confidence,
                                           int n_together) const {
  Stop best{.n = 0, .value = -std::numeric_limits<double>::infinity()};
  const double step_seconds = costs_->draft_seconds(n_together);
  double reach = 1.0;
  double gained = 0.0;
  const int n_drafted = static_cast<int>(confidence.size());
  for (int n = 1; n <= limits_.n_max; ++n) {
    reach *= n <= n_drafted
                 ? acceptance_.acceptance(confidence[static_cast<std::size_t>(n - 1)], n - 1)
                 : acceptance_.expected_at(n - 1);
    gained += reach;
    if (n <= n_drafted || n < limits_.n_min) continue;
    const double seconds = extra_seconds(n) + (n - n_drafted) * step_seconds;
    const double value = gained - rate_ * seconds;
    if (value > best.value) best = {.n = n, .value = value};
  }
  return best;
}

int DraftPolicy::n_planned() const {
  if (limit_ == 0 || !adaptive_) return limit_;
  return std::max(best_beyond({}, share_.n_drafting).n, forced_);
}

DraftDecision DraftPolicy::decide(std::span<const float> confidence, int n_together) const {
  const int n = static_cast<int>(confidence.size());
  if (n > limit_ || above_p_min(confidence).size() < confidence.size()) return DraftDecision::Drop;
  if (!adaptive_) return n < limit_ ? DraftDecision::KeepAndContinue : DraftDecision::KeepAndStop;
  if (n < forced_) return DraftDecision::KeepAndContinue;
  const Stop stop = best_stop(confidence);
  if (n < limit_ && best_beyond(confidence, n_together).value > stop.value)
    return DraftDecision::KeepAndContinue;
  return stop.n == n ? DraftDecision::KeepAndStop : DraftDecision::Drop;
}

int DraftPolicy::n_to_verify(std::span<const float> confidence) const {
  if (choice_ == DraftChoice::Drawn) return static_cast<int>(confidence.size());
  std::span<const float> kept = above_p_min(confidence);
  kept = kept.first(std::min(kept.size(), static_cast<std::size_t>(limit_)));
  if (adaptive_) return limit_ > 0 ? best_stop(kept).n : 0;
  const int n = static_cast<int>(kept.size());
  return n < limits_.n_min ? 0 : n;
}

void DraftPolicy::observe_costs(int width, double verify_seconds, int n_draft_steps,
                                double draft_seconds) {
  costs_->observe_verify(width, verify_seconds);
  costs_->observe_draft(n_draft_steps, draft_seconds);
  charge({}, width - 1, verify_seconds, draft_seconds);
}

void DraftPolicy::charge(const PassShare& share, int n_verified, double verify_seconds,
                         double draft_seconds) {
  share_ = share;
  round_loss_ = 0.0;
  if (!costs_->knows(plain_width())) return;
  const double expected = costs_->verify_seconds(plain_width() + n_verified);
  verify_seconds =
      verify_seconds == 0.0 ? expected : std::min(verify_seconds, kLargestSurprise * expected);
  if (!knew_draft_) draft_seconds = std::min(draft_seconds, kFirstLoss * plain_seconds());
  const double cost = (verify_seconds + draft_seconds) / plain_seconds();
  if (!std::isfinite(cost) || cost <= 0.0) return;
  round_loss_ = (1.0 + share_.n_other_tokens) * (cost - 1.0);
}

void DraftPolicy::observe(std::span<const float> confidence, int n_verified, int n_accepted) {
  if (confidence.empty()) {
    balance_ += kProbeShare;
    if (drafted_rounds_ >= plain_interval_) {
      plain_interval_ = std::min(2 * plain_interval_, kLongestPlainInterval);
    }
    drafted_rounds_ = 0;
  } else {
    acceptance_.observe(confidence, n_verified, n_accepted);
    balance_ += std::clamp(n_accepted, 0, std::max(n_verified, 0)) - round_loss_;
    ++drafted_rounds_;
  }
  balance_ = std::min(balance_, kCredit);
  limit_ = 0;
}

double DraftPolicy::expected_speedup() const {
  if (!adaptive_ || !costs_->knows(plain_width()) || parked_) return 1.0;
  return best_rate() * plain_seconds() / (1.0 + share_.n_other_tokens);
}

}  // namespace foretoken::engine
