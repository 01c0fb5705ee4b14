#include "engine/acceptance_estimator.h"

#include <algorithm>

namespace foretoken::engine {
namespace {

constexpr double kTallyDecay = 1.0 - 1.0 / 64.0;    ///< per entry: about the last 64 count
constexpr double kRoundDecay = 1.0 - 1.0 / 1024.0;  ///< per round: unused tallies fade too
constexpr double kPriorWeight = 4.0;                ///< entries the starting guess is worth
constexpr double kPooledWeight = 2.0;               ///< promised hits before the pool is believed
constexpr double kBucketWeight = 8.0;               ///< entries a bucket is worth to its cells
constexpr double kExpectedAtStart = 0.7;            ///< middle of what published heads reach
constexpr double kExpectedShare = 1.0 / 24.0;       ///< newest round's share in expected_
/// Rounds that the expectation brought from another text is worth.
constexpr int kRoundsOfPrior = 4;
constexpr double kDriftShare = 1.0 / 64.0;  ///< pull on positions that were not drafted

std::size_t index_of(int position) {
  return static_cast<std::size_t>(std::clamp(position, 0, kMaxDraftChain - 1));
}

}  // namespace

AcceptanceEstimator::AcceptanceEstimator() { expected_.fill(kExpectedAtStart); }

void AcceptanceEstimator::Tally::add(bool hit) {
  hits = hits * kTallyDecay + (hit ? 1.0 : 0.0);
  trials = trials * kTallyDecay + 1.0;
}

int AcceptanceEstimator::bucket_of(float confidence) {
  // The negated comparison sends NaN to the lowest bucket.
  if (!(confidence > 0.0F)) return 0;
  return std::min(static_cast<int>(std::min(confidence, 1.0F) * kBuckets), kBuckets - 1);
}

// What a confidence in this bucket says at face value.
double AcceptanceEstimator::promise_of(int bucket) { return (bucket + 0.5) / kBuckets; }

double AcceptanceEstimator::acceptance(float confidence, int position) const {
  const int b = bucket_of(confidence);
  // A head that keeps none of its promises is found out as a whole, not bucket by bucket.
  const double trust = (pooled_hits_ + kPooledWeight) / (pooled_promise_ + kPooledWeight);
  const double prior = std::min(promise_of(b) * trust, 1.0 - 0.5 / kBuckets);
  const Tally& all = bucket_[static_cast<std::size_t>(b)];
  const double of_bucket = (all.hits + kPriorWeight * prior) / (all.trials + kPriorWeight);
  const Tally& here = cell_[index_of(position)][static_cast<std::size_t>(b)];
  return (here.hits + kBucketWeight * of_bucket) / (here.trials + kBucketWeight);
}

double AcceptanceEstimator::expected_at(int position) const {
  return expected_[index_of(position)];
}

void AcceptanceEstimator::fade(double share) {
  pooled_hits_ *= share;
  pooled_promise_ *= share;
  for (Tally& tally : bucket_) tally.hits *= share, tally.trials *= share;
  for (auto& row : cell_) {
    for (Tally& tally : row) tally.hits *= share, tally.trials *= share;
  }
  for (int& n : n_expected_) n = std::min(n, kRoundsOfPrior);
}

void AcceptanceEstimator::record(float confidence, int position, bool kept) {
  const auto b = static_cast<std::size_t>(bucket_of(confidence));
  pooled_hits_ = pooled_hits_ * kTallyDecay + (kept ? 1.0 : 0.0);
  pooled_promise_ = pooled_promise_ * kTallyDecay + promise_of(bucket_of(confidence));
  bucket_[b].add(kept);
  cell_[index_of(position)][b].add(kept);
}

void AcceptanceEstimator::observe(std::span<const float> confidence, int n_verified,
                                  int n_accepted) {
  confidence = confidence.first(std::min(confidence.size(), std::size_t{kMaxDraftChain}));
  const int n_drafted = static_cast<int>(confidence.size());
  n_verified = std::clamp(n_verified, 0, n_drafted);
  n_accepted = std::clamp(n_accepted, 0, n_verified);
  for (Tally& tally : bucket_) tally.hits *= kRoundDecay, tally.trials *= kRoundDecay;
  for (auto& row : cell_) {
    for (Tally& tally : row) tally.hits *= kRoundDecay, tally.trials *= kRoundDecay;
  }
  const int n_judged = std::min(n_accepted + 1, n_verified);
  for (int i = 0; i < n_judged; ++i) {
    record(confidence[static_cast<std::size_t>(i)], i, i < n_accepted);
  }
  // The calibrated estimate of every drafted token, also of those the target never judged, says
  // what kind of text this is with less noise than the few outcomes.
  for (int i = 0; i < n_drafted; ++i) {
    const std::size_t at = index_of(i);
    const double now = acceptance(confidence[at], i);
    const double share = std::max(1.0 / (++n_expected_[at] + 1.0), kExpectedShare);
    n_expected_[at] = std::min(n_expected_[at], 1 << 20);
    expected_[at] += share * (now - expected_[at]);
  }
  // Positions beyond have no news; they drift towards their neighbour, so that a stretch of hard
  // text long ago does not keep drafts short for ever.
  for (int i = std::max(n_drafted, 1); i < kMaxDraftChain; ++i) {
    expected_[index_of(i)] += kDriftShare * (expected_[index_of(i - 1)] - expected_[index_of(i)]);
  }
}

}  // namespace foretoken::engine
