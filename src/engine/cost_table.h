// What a round of drafting and verifying costs on this machine, learnt while running: seconds of a
// target pass by its width (the last token plus the drafts), and seconds of one draft step.
//
// The idea: widths never tried are taken to cost hardly more than the nearest narrower one that
// was. That is optimistic on purpose: a wrong guess is corrected by one try, while a pessimistic
// one would never be tried. Old measurements expire for the same reason.
#pragma once

#include <array>

namespace foretoken::engine {

/// Widest target pass: the last token and eight drafts.
inline constexpr int kMaxVerifyWidth = 9;

class CostTable {
 public:
  /// A target pass over `width` tokens took `seconds`. Widths outside 1 .. kMaxVerifyWidth and
  /// times that are not finite and positive are ignored. One call is one round.
  void observe_verify(int width, double seconds);

  /// `n_steps` draft steps took `seconds` in all. Ignored unless both are positive and finite.
  void observe_draft(int n_steps, double seconds);

  /// True once a pass of width 1 was measured; before that, costs mean nothing.
  bool knows_plain() const { return verify_[1].count > 0; }

  /// Seconds of a plain step (width 1). Requires knows_plain().
  double plain_seconds() const { return verify_[1].seconds; }

  /// Expected seconds of a pass of this width, 1 .. kMaxVerifyWidth. Requires knows_plain().
  double verify_seconds(int width) const;

  /// Expected seconds of one draft step. Requires knows_plain().
  double draft_seconds() const;

 private:
  /// Moving average: the plain mean at first, then a tenth of the way to each new sample.
  struct Average {
    double seconds = 0.0;
    int count = 0;
    int last_round = 0;
    void add(double sample, int round);
  };
  bool is_fresh(int width) const;

  std::array<Average, kMaxVerifyWidth + 1> verify_;  // by width; [0] unused
  Average draft_;
  int round_ = 0;
};

}  // namespace foretoken::engine
