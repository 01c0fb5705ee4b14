// What a round of drafting and verifying costs on this machine, learnt while running: seconds of a
// target pass by its width (last tokens and drafts of all sequences in it), and seconds of a draft
// step by the number of sequences that make it together. All sequences of an engine share one
// table.
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
/// Most sequences in a draft step that a table knows. Larger steps cost each as much as this one.
inline constexpr int kMaxDraftCompany = 32;

class CostTable {
 public:
  /// A target pass over `width` tokens took `seconds`. Widths outside 1 .. kMaxPassWidth and times
  /// that are not finite and positive are ignored. One call is one round.
  void observe_verify(int width, double seconds);

  /// `n_steps` draft steps of n_sessions together took `seconds` in all. Ignored unless all are
  /// positive and finite and n_sessions is at most kMaxDraftCompany.
  void observe_draft(int n_steps, double seconds, int n_sessions = 1);

  /// True when the cost of this width is more than a guess: it was measured, or a narrower and a
  /// wider one were. What a sequence's plain step costs must be known before drafts can be judged.
  bool knows(int width) const;

  /// Expected seconds of a pass of this width; 0 before anything was measured.
  double verify_seconds(int width) const;

  /// Mean seconds measured at this width lately; 0: none.
  double measured_seconds(int width) const;

  /// A sequence's even share of a draft step of n_sessions, in seconds: when each gains more than
  /// that, all gain more than the step takes. 0 before anything was measured. A guess, if that is
  /// lower, until knows_draft().
  double draft_seconds(int n_sessions = 1) const;
  /// True once such draft steps were measured in several rounds.
  bool knows_draft(int n_sessions = 1) const;

 private:
  /// The smallest of the first samples, then a tenth of the way to each new one.
  struct Average {
    double seconds = 0.0;
    int count = 0;
    int last_round = 0;
    void add(double sample, int round);
  };
  bool is_usable(int width) const;
  const Average& draft_of(int n_sessions) const;
  double guessed_step(int n_sessions) const;

  std::array<Average, kMaxPassWidth + 1> verify_;  // by width; [0] unused
  int narrowest_ = 0;                              // ever measured; 0: none
  int widest_ = 0;
  std::array<Average, kMaxDraftCompany + 1> draft_;  // whole steps, by sequences; [0] unused
  int round_ = 0;
};

}  // namespace foretoken::engine
