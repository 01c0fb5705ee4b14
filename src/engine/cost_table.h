// What a round of drafting and verifying costs on this machine, learnt while running: seconds of a
// target pass by its width (last tokens and drafts of all sequences in it), and seconds of one
// draft step. All sequences of an engine share one table.
//
// The idea: widths never tried are taken to cost hardly more than the nearest narrower one that
// was. That is optimistic on purpose: a wrong guess is corrected by a try, while a pessimistic one
// would never be tried. Old measurements expire for the same reason.
#pragma once

#include <array>

namespace foretoken::engine {

/// Widest target pass of one sequence: the last token and eight drafts.
inline constexpr int kMaxVerifyWidth = 9;
/// Widest pass a table knows: several sequences together. Wider ones count as this wide.
inline constexpr int kMaxPassWidth = 64;

class CostTable {
 public:
  /// A target pass over `width` tokens took `seconds`. Widths outside 1 .. kMaxPassWidth and times
  /// that are not finite and positive are ignored. One call is one round.
  void observe_verify(int width, double seconds);

  /// `n_steps` draft steps took `seconds` in all. Ignored unless both are positive and finite.
  void observe_draft(int n_steps, double seconds);

  /// True when the cost of this width is more than a guess: it was measured, or a narrower and a
  /// wider one were. What a sequence's plain step costs must be known before drafts can be judged.
  bool knows(int width) const;

  /// Expected seconds of a pass of this width; 0 before anything was measured.
  double verify_seconds(int width) const;

  /// Mean seconds measured at this width lately; 0: none.
  double measured_seconds(int width) const;

  /// Expected seconds of one draft step; 0 before anything was measured. A guess, if that is lower,
  /// until knows_draft().
  double draft_seconds() const;
  /// True once draft steps were measured in several rounds.
  bool knows_draft() const;

 private:
  /// The smallest of the first samples, then a tenth of the way to each new one.
  struct Average {
    double seconds = 0.0;
    int count = 0;
    int last_round = 0;
    void add(double sample, int round);
  };
  bool is_usable(int width) const;

  std::array<Average, kMaxPassWidth + 1> verify_;  // by width; [0] unused
  int narrowest_ = 0;                              // ever measured; 0: none
  int widest_ = 0;
  Average draft_;
  int round_ = 0;
};

}  // namespace foretoken::engine
