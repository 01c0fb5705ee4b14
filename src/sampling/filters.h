// The transforms that shorten or reshape a list of candidates, one function each, in the order the
// sampler applies them by default: top_n_sigma, top_k, typical_p, top_p, min_p, XTC, temperature.
// The list is sorted only as far as a filter needs to look.
// Source of order and formulas: llama.cpp, src/llama-sampler.cpp; Meister et al., "Locally Typical
// Sampling" (2022); Holtzman et al., "The Curious Case of Neural Text Degeneration" (2020).
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "sampling/distribution.h"

namespace foretoken::sampling {

/// Candidates of which the first `n_sorted` are the largest, in the order of `comes_before`; the
/// rest are in any order. No logit is NaN or infinite.
struct CandidateList {
  std::vector<Candidate> items;
  std::size_t n_sorted = 0;

  /// Makes at least the first min(n, size) items sorted.
  void sort_prefix(std::size_t n);
};

/// Sets every p to softmax(logit / temperature). Requires temperature > 0; the order is kept.
void fill_probabilities(CandidateList& list, float temperature);

/// Sets every logit below max - n * sigma to minus infinity; sigma is the standard deviation over
/// the finite logits. n <= 0: nothing. (Top-n-sigma, Tang et al. 2024.)
void mask_below_n_sigma(std::span<float> logits, float n);

/// The same for a list: drops the candidates below the bar.
void filter_n_sigma(CandidateList& list, float n);

/// Keeps the k largest. k <= 0: nothing. (For raw logits: select.h.)
void filter_top_k(CandidateList& list, int k);

/// Keeps the tokens whose surprise -log p lies closest to the entropy, until they hold more than
/// typical_p of the probability (at temperature 1) and number at least min_keep. >= 1: nothing.
void filter_typical(CandidateList& list, float typical_p, int min_keep);

/// Keeps the most probable tokens until they hold at least top_p of the probability (at temperature
/// 1) and number at least min_keep; always keeps one. >= 1: nothing.
void filter_top_p(CandidateList& list, float top_p, int min_keep);

/// Keeps tokens with p >= min_p * p(best), and the min_keep best in any case. <= 0: nothing.
void filter_min_p(CandidateList& list, float min_p, int min_keep);

/// Exclude top choices: how many of the best tokens XTC removes when its coin says so. Those with a
/// probability (at temperature 1) of at least `threshold`, but the last of them: 0 unless there are
/// two or more, or if fewer than min_keep tokens would stay. Sorts the best of the list.
/// (p-e-w, "Exclude Top Choices", oobabooga/text-generation-webui#6335.)
std::size_t n_top_choices(CandidateList& list, float threshold, int min_keep);

/// The list less its n best. Requires n_sorted >= n.
CandidateList without_best(const CandidateList& list, std::size_t n);

/// Entropy-dependent temperature: low + (high - low) * (H / log n)^exponent, low and high being
/// max(0, temperature - range) and temperature + range, H the entropy of the list's n tokens at
/// temperature 1. range <= 0 or fewer than 2 tokens: temperature. May be 0 or infinite.
float dynamic_temperature(CandidateList& list, float temperature, float range, float exponent);

/// For a temperature with other steps behind it: logits / temperature, kept finite; temperature <=
/// 0 leaves the best alone. Requires a candidate.
void scale_by_temperature(CandidateList& list, float temperature);

/// Turns the list into the distribution softmax(logit / temperature), most probable first; tokens
/// whose probability is 0 in float are dropped. temperature <= 0: all mass on the best token.
/// Requires a candidate.
Distribution to_distribution(CandidateList list, float temperature);

}  // namespace foretoken::sampling
