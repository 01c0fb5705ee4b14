#include "engine/synthetic_acceptance.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "engine/acceptance_estimator.h"

namespace foretoken::engine {
namespace {

double parse_number(std::string_view flag, std::string_view item, std::string_view whole) {
  const std::size_t begin = std::min(item.find_first_not_of(" \t"), item.size());
  const std::size_t end = item.find_last_not_of(" \t") + 1;
  const std::string_view text = item.substr(begin, std::max(end, begin) - begin);
  double value = 0.0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || stop != text.data() + text.size()) {
    throw RequestError(fmt::format("{} '{}': '{}' is not a number", flag, whole, text));
  }
  return value;
}

void require_limit(std::string_view flag, int n_max) {
  if (n_max >= 1 && n_max <= kMaxDraftChain) return;
  throw RequestError(
      fmt::format("{} needs drafts to accept: the drafting limit is {}, expected 1 to {}; set "
                  "--spec-draft-n-max",
                  flag, n_max, kMaxDraftChain));
}

/// 1 + a + .. + a^n.
double length_at(double a, int n) {
  double sum = 1.0;
  for (int i = 0; i < n; ++i) sum = 1.0 + a * sum;
  return sum;
}

}  // namespace

SyntheticAcceptance::SyntheticAcceptance(std::vector<double> rates, std::uint64_t seed)
    : rates_(std::move(rates)), random_(seed) {
  if (rates_.empty() || rates_.size() > static_cast<std::size_t>(kMaxDraftChain)) {
    throw RequestError(fmt::format("synthetic acceptance got {} rates: expected 1 to {}",
                                   rates_.size(), kMaxDraftChain));
  }
  double before = 1.0;
  for (std::size_t i = 0; i < rates_.size(); ++i) {
    // Negated, so that NaN is refused.
    if (!(rates_[i] >= 0.0 && rates_[i] <= before)) {
      throw RequestError(fmt::format(
          "synthetic acceptance rate {} of position {} is out of range: expected 0 to {}, since it "
          "is the chance that all drafts up to there are kept",
          rates_[i], i + 1, before));
    }
    before = rates_[i];
  }
}

SyntheticAcceptance SyntheticAcceptance::parse_rates(std::string_view text, int n_max,
                                                     std::uint64_t seed) {
  constexpr std::string_view kFlag = "--spec-synth-rates";
  require_limit(kFlag, n_max);
  std::vector<double> rates;
  std::size_t begin = 0;
  while (begin <= text.size()) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    rates.push_back(parse_number(kFlag, text.substr(begin, end - begin), text));
    begin = end + 1;
    if (rates.size() > static_cast<std::size_t>(n_max)) break;
  }
  if (rates.size() != static_cast<std::size_t>(n_max)) {
    throw RequestError(fmt::format(
        "{} '{}' has {} {} values: expected {}, one per draft up to --spec-draft-n-max", kFlag,
        text, rates.size() > static_cast<std::size_t>(n_max) ? "more than" : "only",
        std::min(rates.size(), static_cast<std::size_t>(n_max)), n_max));
  }
  return {std::move(rates), seed};
}

SyntheticAcceptance SyntheticAcceptance::parse_length(std::string_view text, int n_max,
                                                      std::uint64_t seed) {
  constexpr std::string_view kFlag = "--spec-synth-len";
  require_limit(kFlag, n_max);
  const double length = parse_number(kFlag, text, text);
  if (!(length >= 1.0 && length <= n_max + 1.0)) {
    throw RequestError(
        fmt::format("{} {} is out of range: expected 1 to {}, the tokens of a round with {} drafts",
                    kFlag, length, n_max + 1, n_max));
  }
  double low = 0.0;
  double high = 1.0;
  for (int i = 0; i < 60; ++i) {  // the length rises with a, so halving finds it
    const double middle = 0.5 * (low + high);
    (length_at(middle, n_max) < length ? low : high) = middle;
  }
  // The ends are exact: never and always.
  const double a = length == 1.0 ? 0.0 : length == n_max + 1.0 ? 1.0 : 0.5 * (low + high);
  std::vector<double> rates;
  rates.reserve(static_cast<std::size_t>(n_max));
  for (int i = 0; i < n_max; ++i) rates.push_back(i == 0 ? a : rates.back() * a);
  return {std::move(rates), seed};
}

int SyntheticAcceptance::accept(int n_drafts) {
  // One number decides the round: drafts 1..i are all kept exactly when it is below r_i.
  const double u = static_cast<double>(random_() >> 11) * 0x1p-53;
  int kept = 0;
  const int n = std::min(n_drafts, static_cast<int>(rates_.size()));
  while (kept < n && u < rates_[static_cast<std::size_t>(kept)]) ++kept;
  return kept;
}

double SyntheticAcceptance::mean_length() const {
  return std::accumulate(rates_.begin(), rates_.end(), 1.0);
}

std::string SyntheticAcceptance::description() const {
  std::string list;
  for (const double rate : rates_) list += fmt::format("{}{:.3f}", list.empty() ? "" : ", ", rate);
  return fmt::format(
      "synthetic acceptance (rates {}; mean length {:.3f}): the text is not the model's", list,
      mean_length());
}

}  // namespace foretoken::engine
