// See sampler_names.h.
#include "api/sampler_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <string_view>
#include <utility>

#include "base/text.h"

namespace foretoken::api {
namespace {

struct Entry {
  const char* name;
  char letter;
  const char* other_name;  // "" if there is none
  sampling::ChainStep step;
};

using enum sampling::ChainStep;

// In the default order.
constexpr std::array kSamplers = {
    Entry{"penalties", 'e', "", Penalties},
    Entry{"dry", 'd', "", Dry},
    Entry{"top_n_sigma", 's', "", TopNSigma},
    Entry{"top_k", 'k', "", TopK},
    Entry{"typ_p", 'y', "typ", TypicalP},
    Entry{"top_p", 'p', "nucleus", TopP},
    Entry{"min_p", 'm', "", MinP},
    Entry{"xtc", 'x', "", Xtc},
    Entry{"temperature", 't', "temp", Temperature},
};

/// Not a step: it chooses among what all of them left.
constexpr char kAdaptive[] = "adaptive_p";
constexpr std::size_t kAdaptiveIndex = kSamplers.size();

/// "Top-K" -> "topk", so that all ways to write a name compare equal.
std::string plain_name(std::string_view name) {
  std::string plain;
  for (const char c : name) {
    if (c != '_' && c != '-') {
      plain += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
  }
  return plain;
}

std::optional<std::size_t> find_by_name(std::string_view name) {
  std::string wanted = plain_name(name);
  if (wanted == "typicalp" || wanted == "typical") wanted = "typp";
  if (wanted == plain_name(kAdaptive)) return kAdaptiveIndex;
  for (std::size_t i = 0; i < kSamplers.size(); ++i) {
    if (wanted == plain_name(kSamplers[i].name) || wanted == kSamplers[i].other_name) return i;
  }
  return std::nullopt;
}

std::optional<std::size_t> find_by_letter(char letter) {
  if (letter == 'a') return kAdaptiveIndex;
  for (std::size_t i = 0; i < kSamplers.size(); ++i) {
    if (kSamplers[i].letter == letter) return i;
  }
  return std::nullopt;
}

}  // namespace

const std::vector<std::string>& default_samplers() {
  static const std::vector<std::string> all = [] {
    std::vector<std::string> names;
    for (const Entry& entry : kSamplers) names.emplace_back(entry.name);
    return names;
  }();
  return all;
}

std::vector<std::string> read_samplers(const Context& context, const Json& value) {
  std::vector<std::size_t> chosen;
  bool said_so = false;  // one line of the log per request, however many there are
  const auto take = [&](std::optional<std::size_t> index, std::string_view spelled) {
    if (!index) {
      if (std::exchange(said_so, true)) return;
      context.remark(LogLevel::Warning,
                     fmt::format("unknown sampler {} is ignored", quoted(spelled)));
    } else if (std::ranges::find(chosen, *index) == chosen.end()) {
      chosen.push_back(*index);
    }
  };
  if (value.is_string()) {
    for (const char& letter : value.get_ref<const std::string&>()) {
      take(find_by_letter(letter), std::string_view(&letter, 1));
    }
  } else if (value.is_array()) {
    for (const Json& name : value) {
      if (name.is_string()) {
        take(find_by_name(name.get_ref<const std::string&>()), name.get_ref<const std::string&>());
      } else {
        take(std::nullopt, name.type_name());
      }
    }
  } else {
    context.remark(LogLevel::Warning, "request field 'samplers' is ignored: a list is expected");
    return default_samplers();
  }
  std::vector<std::string> names;
  for (const std::size_t index : chosen) {
    names.emplace_back(index == kAdaptiveIndex ? kAdaptive : kSamplers[index].name);
  }
  return names;
}

void apply_samplers(const std::vector<std::string>& samplers, sampling::SamplingParams& params) {
  const auto missing = [&](std::string_view name) {
    return std::ranges::find(samplers, name) == samplers.end();
  };
  const sampling::SamplingParams off;  // penalties, DRY, top_n_sigma, typical, XTC: off by default
  if (missing("penalties")) {
    params.repeat_penalty = 1.0F;
    params.presence_penalty = 0.0F;
    params.frequency_penalty = 0.0F;
  }
  if (missing("dry")) params.dry_multiplier = off.dry_multiplier;
  if (missing("top_n_sigma")) params.top_n_sigma = off.top_n_sigma;
  if (missing("top_k")) params.top_k = 0;
  if (missing("typ_p")) params.typical_p = off.typical_p;
  if (missing("top_p")) params.top_p = 1.0F;
  if (missing("min_p")) params.min_p = 0.0F;
  if (missing("xtc")) params.xtc_probability = off.xtc_probability;
  if (missing(kAdaptive)) params.adaptive_target = off.adaptive_target;
  if (missing("temperature") && params.mirostat == 0) {
    params.temperature = 1.0F;
    params.dynatemp_range = off.dynatemp_range;
  }
  params.order.clear();
  for (const std::string& name : samplers) {
    const auto entry = std::ranges::find(kSamplers, name, &Entry::name);
    if (entry != kSamplers.end()) params.order.push_back(entry->step);
  }
  if (std::ranges::is_sorted(params.order)) params.order.clear();
}

}  // namespace foretoken::api
