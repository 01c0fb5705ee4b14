// Sums run in double: a quarter of a million floats of very different size lose digits otherwise.
#include "sampling/filters.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <numeric>

namespace foretoken::sampling {
namespace {

float largest_logit(const CandidateList& list) {
  if (list.n_sorted > 0) return list.items.front().logit;
  float largest = -std::numeric_limits<float>::infinity();
  for (const Candidate& c : list.items) largest = std::max(largest, c.logit);
  return largest;
}

/// A candidate with the number it is sorted by: first its surprise, then the distance to entropy.
struct Ranked {
  double key = 0.0;
  Candidate candidate;
};

/// max - n * sigma over the finite logits, minus infinity without one. `logit` gives the logit of
/// an entry.
template <class Entry, class Logit>
float n_sigma_bar(std::span<Entry> entries, float n, Logit logit) {
  double sum = 0.0;
  std::size_t count = 0;
  float largest = -std::numeric_limits<float>::infinity();
  for (const Entry& entry : entries) {
    const float x = logit(entry);
    if (!std::isfinite(x)) continue;
    sum += static_cast<double>(x);
    largest = std::max(largest, x);
    ++count;
  }
  if (count == 0) return largest;
  const double mean = sum / static_cast<double>(count);
  double squares = 0.0;
  for (const Entry& entry : entries) {
    const float x = logit(entry);
    const double d = static_cast<double>(x) - mean;
    if (std::isfinite(x)) squares += d * d;
  }
  const double sigma = std::sqrt(squares / static_cast<double>(count));
  return static_cast<float>(static_cast<double>(largest) - static_cast<double>(n) * sigma);
}

/// Removes what `drops` says, keeping the order, and hence the sorted part a sorted prefix.
template <class Drops>
void drop(CandidateList& list, Drops drops) {
  const auto sorted_end = list.items.begin() + static_cast<std::ptrdiff_t>(list.n_sorted);
  list.n_sorted -= static_cast<std::size_t>(std::count_if(list.items.begin(), sorted_end, drops));
  std::erase_if(list.items, drops);
}

}  // namespace

// Subtracting before dividing keeps tiny temperatures finite.
void fill_probabilities(CandidateList& list, float temperature) {
  const float largest = largest_logit(list);
  double sum = 0.0;
  for (Candidate& c : list.items) {
    c.p = std::exp((c.logit - largest) / temperature);
    sum += static_cast<double>(c.p);
  }
  for (Candidate& c : list.items) c.p = static_cast<float>(static_cast<double>(c.p) / sum);
}

void CandidateList::sort_prefix(std::size_t n) {
  n = std::min(n, items.size());
  if (n <= n_sorted) return;
  const auto from = items.begin() + static_cast<std::ptrdiff_t>(n_sorted);
  const auto to = items.begin() + static_cast<std::ptrdiff_t>(n);
  if (n < items.size()) std::nth_element(from, to, items.end(), comes_before);
  std::sort(from, to, comes_before);
  n_sorted = n;
}

void mask_below_n_sigma(std::span<float> logits, float n) {
  if (n <= 0.0F) return;
  const float bar = n_sigma_bar(logits, n, [](float x) { return x; });
  for (float& x : logits) {
    if (x < bar) x = -std::numeric_limits<float>::infinity();
  }
}

void filter_n_sigma(CandidateList& list, float n) {
  if (n <= 0.0F) return;
  const float bar =
      n_sigma_bar(std::span(list.items), n, [](const Candidate& c) { return c.logit; });
  drop(list, [bar](const Candidate& c) { return c.logit < bar; });
}

void filter_top_k(CandidateList& list, int k) {
  if (k <= 0 || static_cast<std::size_t>(k) >= list.items.size()) return;
  list.sort_prefix(static_cast<std::size_t>(k));
  list.items.resize(static_cast<std::size_t>(k));
  list.n_sorted = std::min(list.n_sorted, list.items.size());
}

void filter_typical(CandidateList& list, float typical_p, int min_keep) {
  if (typical_p >= 1.0F || list.items.empty()) return;
  fill_probabilities(list, 1.0F);
  double entropy = 0.0;
  std::vector<Ranked> ranked(list.items.size());
  for (std::size_t i = 0; i < ranked.size(); ++i) {
    const Candidate& c = list.items[i];
    ranked[i] = {-std::log(static_cast<double>(c.p)), c};
    if (c.p > 0.0F) entropy += static_cast<double>(c.p) * ranked[i].key;
  }
  for (Ranked& r : ranked) r.key = std::abs(r.key - entropy);
  std::sort(ranked.begin(), ranked.end(), [](const Ranked& a, const Ranked& b) {
    return a.key != b.key ? a.key < b.key : comes_before(a.candidate, b.candidate);
  });
  double cumulative = 0.0;
  std::size_t kept = 0;
  while (kept < ranked.size()) {
    list.items[kept] = ranked[kept].candidate;
    cumulative += static_cast<double>(list.items[kept].p);
    ++kept;
    if (cumulative > static_cast<double>(typical_p) && kept >= static_cast<std::size_t>(min_keep)) {
      break;
    }
  }
  list.items.resize(kept);
  list.n_sorted = 0;
}

void filter_top_p(CandidateList& list, float top_p, int min_keep) {
  if (top_p >= 1.0F || list.items.empty()) return;
  fill_probabilities(list, 1.0F);
  double cumulative = 0.0;
  std::size_t kept = 0;
  while (kept < list.items.size()) {
    // The nucleus is usually small: sort 256, then four times as many whenever that runs out.
    if (kept == list.n_sorted) list.sort_prefix(std::max<std::size_t>(256, kept * 4));
    cumulative += static_cast<double>(list.items[kept].p);
    ++kept;
    if (cumulative >= static_cast<double>(top_p) && kept >= static_cast<std::size_t>(min_keep)) {
      break;
    }
  }
  list.items.resize(kept);
  list.n_sorted = kept;
}

void filter_min_p(CandidateList& list, float min_p, int min_keep) {
  if (min_p <= 0.0F || list.items.empty()) return;
  list.sort_prefix(static_cast<std::size_t>(std::max(min_keep, 1)));
  const auto always = std::min(static_cast<std::size_t>(std::max(min_keep, 1)), list.items.size());
  const float limit = list.items.front().logit + std::log(min_p);
  // remove_if keeps the order, so the sorted part stays a sorted prefix.
  const std::size_t n_sorted = list.n_sorted;
  const auto passes = [limit](const Candidate& c) { return c.logit >= limit; };
  const auto begin = list.items.begin() + static_cast<std::ptrdiff_t>(always);
  const auto sorted_end = list.items.begin() + static_cast<std::ptrdiff_t>(n_sorted);
  list.n_sorted = always + static_cast<std::size_t>(std::count_if(begin, sorted_end, passes));
  list.items.erase(
      std::remove_if(begin, list.items.end(), [&](const Candidate& c) { return !passes(c); }),
      list.items.end());
}

std::size_t n_top_choices(CandidateList& list, float threshold, int min_keep) {
  if (list.items.size() < 2) return 0;
  fill_probabilities(list, 1.0F);
  const auto n_above = static_cast<std::size_t>(std::ranges::count_if(
      list.items, [threshold](const Candidate& c) { return c.p >= threshold; }));
  if (n_above < 2) return 0;
  const std::size_t n = n_above - 1;
  if (list.items.size() - n < static_cast<std::size_t>(std::max(min_keep, 0))) return 0;
  list.sort_prefix(n_above);
  return n;
}

CandidateList without_best(const CandidateList& list, std::size_t n) {
  CandidateList rest;
  rest.items.assign(list.items.begin() + static_cast<std::ptrdiff_t>(n), list.items.end());
  rest.n_sorted = list.n_sorted - n;
  return rest;
}

float dynamic_temperature(CandidateList& list, float temperature, float range, float exponent) {
  if (range <= 0.0F || list.items.size() < 2) return temperature;
  fill_probabilities(list, 1.0F);
  double entropy = 0.0;
  for (const Candidate& c : list.items) {
    const auto p = static_cast<double>(c.p);
    if (p > 0.0) entropy -= p * std::log(p);
  }
  const double share = entropy / std::log(static_cast<double>(list.items.size()));
  const double low = std::max(0.0, static_cast<double>(temperature) - static_cast<double>(range));
  const double high = static_cast<double>(temperature) + static_cast<double>(range);
  return static_cast<float>(low + (high - low) * std::pow(share, static_cast<double>(exponent)));
}

void scale_by_temperature(CandidateList& list, float temperature) {
  if (temperature <= 0.0F) {
    list.sort_prefix(1);
    list.items.resize(1);
    list.n_sorted = 1;
    return;
  }
  constexpr float kLargest = std::numeric_limits<float>::max();
  for (Candidate& c : list.items) c.logit = std::clamp(c.logit / temperature, -kLargest, kLargest);
  list.n_sorted = 0;  // rounding makes ties, which go by id
}

Distribution to_distribution(CandidateList list, float temperature) {
  assert(!list.items.empty() && "the sampler refuses an empty list before this");
  if (temperature <= 0.0F) {
    list.sort_prefix(1);
    Candidate best = list.items.front();
    best.p = 1.0F;
    return Distribution{{best}};
  }
  fill_probabilities(list, temperature);
  if (list.n_sorted < list.items.size()) {
    std::erase_if(list.items, [](const Candidate& c) { return c.p <= 0.0F; });
    list.n_sorted = std::min(list.n_sorted, list.items.size());
    list.sort_prefix(list.items.size());
  } else {
    while (list.items.back().p <= 0.0F) list.items.pop_back();
  }
  return Distribution{std::move(list.items)};
}

}  // namespace foretoken::sampling
