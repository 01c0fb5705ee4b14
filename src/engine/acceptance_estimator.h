// How likely the target keeps a draft, learnt from what became of earlier ones.
//
// The idea: the drafter's own probability for its token is a good predictor once calibrated. Drafts
// are sorted into 16 buckets of that probability; each bucket's acceptance is a decayed average
// that starts from the guess "as likely as the drafter says". Each position in the chain refines
// its bucket where it has seen enough, since errors add up along a chain. A second average per
// position answers the question before a token is drafted, when there is no probability yet.
#pragma once

#include <array>
#include <span>

namespace foretoken::engine {

/// Longest chain of drafts.
inline constexpr int kMaxDraftChain = 8;

class AcceptanceEstimator {
 public:
  AcceptanceEstimator();

  /// Probability that the target keeps the draft at `position` (0 ..), drafted with this top-1
  /// probability, given that it kept all before it. In (0, 1). Positions beyond the longest chain
  /// count as the last; a confidence outside [0, 1] or NaN as the nearest end or 0.
  double acceptance(float confidence, int position) const;

  /// The same for a position not drafted yet.
  double expected_at(int position) const;

  /// Makes what was learnt count less against what will be, as for another text of the same model:
  /// tallies shrink to `share` of their weight, 0 .. 1; the estimates stay.
  void fade(double share);

  /// A round's outcome: the confidence of each drafted token, of which the first n_verified were
  /// shown to the target and the first n_accepted kept (the one after those was refused, unless
  /// all that were verified were kept). Counts out of range are clamped.
  void observe(std::span<const float> confidence, int n_verified, int n_accepted);

 private:
  static constexpr int kBuckets = 16;
  /// A decayed count of successes among trials.
  struct Tally {
    double hits = 0.0;
    double trials = 0.0;
    void add(bool hit);
  };
  static int bucket_of(float confidence);
  static double promise_of(int bucket);
  void record(float confidence, int position, bool kept);

  // All positions and confidences together: outcomes, and what the confidences promised.
  double pooled_hits_ = 0.0;
  double pooled_promise_ = 0.0;
  std::array<Tally, kBuckets> bucket_;
  std::array<std::array<Tally, kBuckets>, kMaxDraftChain> cell_;
  std::array<double, kMaxDraftChain> expected_;
  std::array<int, kMaxDraftChain> n_expected_{};
};

}  // namespace foretoken::engine
