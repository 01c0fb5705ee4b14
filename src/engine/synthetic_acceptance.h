// Acceptance by lot instead of by the target, for benchmarks: throughput as a function of
// acceptance, whatever the model and the text. The text it yields is not the model's.
//
// Two ways to say how much, as llama.cpp has them:
//   --spec-synth-rates r1,r2,..,rn   r_i = probability that drafts 1..i are all kept: not rising,
//   one
//                                    per position up to the drafting limit;
//   --spec-synth-len L               mean tokens per round, the target's own included, 1 .. n + 1:
//                                    L = 1 + a + a^2 + .. + a^n with the same a at every position.
// Source: llama.cpp, common/arg.cpp and common/speculative.cpp (September 2026).
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace foretoken::engine {

class SyntheticAcceptance {
 public:
  /// `rates`[i]: probability that drafts 0..i are all kept. Throws RequestError unless there are
  /// 1 .. 8 of them, each from 0 to 1, none above the one before.
  SyntheticAcceptance(std::vector<double> rates, std::uint64_t seed);

  /// Reads the value of --spec-synth-rates; `n_max` is the drafting limit it must match in length.
  /// Throws RequestError with the item that is wrong.
  static SyntheticAcceptance parse_rates(std::string_view text, int n_max, std::uint64_t seed);

  /// Reads the value of --spec-synth-len. Throws RequestError unless it is a number from 1 to
  /// n_max+1.
  static SyntheticAcceptance parse_length(std::string_view text, int n_max, std::uint64_t seed);

  /// How many of n_drafts to keep in this round. Drafts beyond the rates given are refused.
  int accept(int n_drafts);

  /// Probability that all drafts up to a position are kept, by position.
  const std::vector<double>& rates() const { return rates_; }

  /// Mean tokens per round when every round drafts to the limit.
  double mean_length() const;

  /// For reports, so that no number from such a run passes for a real one, e.g.
  /// "synthetic acceptance (rates 0.800, 0.640; mean length 2.440): the text is not the model's".
  std::string description() const;

 private:
  std::vector<double> rates_;
  std::mt19937_64 random_;
};

}  // namespace foretoken::engine
