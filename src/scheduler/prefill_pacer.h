// How many prompt tokens a pass may read without starving the replies that share it.
//
// A pass that only decodes takes D seconds; each prompt token in it adds about c, which is
// measured. Alone, a prompt is read in the largest stretches there are. Beside running replies a
// stretch may take what is left of the target time between two tokens, (target - D) / c tokens, but
// always as long as the decoding itself, so that on a slow machine prompts still get half the time.
// Source: Sarathi-Serve (Agrawal et al., OSDI 2024) for prompts in stretches beside decoding.
#pragma once

#include <span>
#include <vector>

namespace foretoken::scheduler {

class PrefillPacer {
 public:
  /// Requires n_batch >= 1 and target_seconds > 0.
  PrefillPacer(int n_batch, double target_seconds);

  /// Most prompt tokens of the next pass. decode_seconds: what it would take without any; 0 when no
  /// reply is running.
  int n_tokens(double decode_seconds) const;

  /// A pass read n_tokens of prompts, which took `seconds` beyond its decoding. Times that are not
  /// positive and finite are ignored.
  void observe(int n_tokens, double seconds);

 private:
  int n_batch_;
  double target_seconds_;
  double token_seconds_ = 0.0;  // moving average; 0: not measured yet
};

/// Shares n_tokens out among prompts, oldest first: each gets what it still needs while there is
/// some left. left[i]: tokens that prompt i still needs. Returns a count for each.
std::vector<int> share_prefill(std::span<const int> left, int n_tokens);

}  // namespace foretoken::scheduler
