// Range checks of sampling parameters; one line per field.
#include "sampling/params.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

#include "base/error.h"

namespace foretoken::sampling {
namespace {

[[noreturn]] void refuse(std::string_view field, double value, std::string_view allowed) {
  throw RequestError(fmt::format("sampling parameter {} = {} is out of range: expected {}", field,
                                 value, allowed));
}

void require_finite(std::string_view field, float value) {
  if (!std::isfinite(value)) refuse(field, static_cast<double>(value), "a finite number");
}

void require_unit(std::string_view field, float value) {
  if (!(value >= 0.0F && value <= 1.0F)) {
    refuse(field, static_cast<double>(value), "a number from 0 to 1");
  }
}

void require_not_negative(std::string_view field, int value) {
  if (value < 0) refuse(field, static_cast<double>(value), "0 or more");
}

void validate_penalties(const SamplingParams& p) {
  require_not_negative("repeat_last_n", p.repeat_last_n);
  if (!std::isfinite(p.repeat_penalty) || p.repeat_penalty <= 0.0F ||
      !std::isfinite(1.0F / p.repeat_penalty)) {
    refuse("repeat_penalty", static_cast<double>(p.repeat_penalty),
           "a finite number above 0 whose reciprocal is finite");
  }
  require_finite("presence_penalty", p.presence_penalty);
  require_finite("frequency_penalty", p.frequency_penalty);
}

void validate_dry(const SamplingParams& p, int n_vocab) {
  if (!std::isfinite(p.dry_multiplier) || p.dry_multiplier < 0.0F) {
    refuse("dry_multiplier", static_cast<double>(p.dry_multiplier), "a finite number, 0 or more");
  }
  if (!std::isfinite(p.dry_base) || p.dry_base < 1.0F) {
    refuse("dry_base", static_cast<double>(p.dry_base), "a finite number, 1 or more");
  }
  require_not_negative("dry_allowed_length", p.dry_allowed_length);
  require_not_negative("dry_penalty_last_n", p.dry_penalty_last_n);
  for (const std::vector<TokenId>& breaker : p.dry_sequence_breakers) {
    if (breaker.empty() || breaker.size() > static_cast<std::size_t>(kMaxBreakerTokens)) {
      refuse("dry_sequence_breakers, tokens in one breaker,", static_cast<double>(breaker.size()),
             fmt::format("1 to {}", kMaxBreakerTokens));
    }
    for (const TokenId id : breaker) {
      if (id < 0 || id >= n_vocab) {
        refuse("dry_sequence_breakers, token", static_cast<double>(id),
               fmt::format("a token id from 0 to {}", n_vocab - 1));
      }
    }
  }
}

void validate_bias(const SamplingParams& p, int n_vocab) {
  for (const LogitBias& entry : p.logit_bias) {
    if (entry.token < 0 || entry.token >= n_vocab) {
      refuse("logit_bias, token", static_cast<double>(entry.token),
             fmt::format("a token id from 0 to {}", n_vocab - 1));
    }
    if (std::isnan(entry.bias) || entry.bias == std::numeric_limits<float>::infinity()) {
      refuse(fmt::format("logit_bias of token {}", entry.token), static_cast<double>(entry.bias),
             "a finite number, or minus infinity to ban the token");
    }
  }
}

void validate_adaptation(const SamplingParams& p) {
  if (p.mirostat < 0 || p.mirostat > 2) refuse("mirostat", p.mirostat, "0 (off), 1 or 2");
  require_finite("mirostat_tau", p.mirostat_tau);
  require_finite("mirostat_eta", p.mirostat_eta);
  if (!(p.adaptive_target <= 1.0F)) {
    refuse("adaptive_target", static_cast<double>(p.adaptive_target),
           "a number from 0 to 1, or a negative one for off");
  }
  if (!(p.adaptive_decay >= 0.0F && p.adaptive_decay <= 0.99F)) {
    refuse("adaptive_decay", static_cast<double>(p.adaptive_decay), "a number from 0 to 0.99");
  }
}

void validate_order(const SamplingParams& p) {
  for (std::size_t i = 0; i < p.order.size(); ++i) {
    if (std::find(p.order.begin(), p.order.begin() + static_cast<std::ptrdiff_t>(i), p.order[i]) !=
        p.order.begin() + static_cast<std::ptrdiff_t>(i)) {
      refuse("order, entry", static_cast<double>(i), "no step named twice");
    }
  }
}

}  // namespace

void validate(const SamplingParams& params, int n_vocab) {
  require_finite("temperature", params.temperature);
  require_unit("top_p", params.top_p);
  require_unit("min_p", params.min_p);
  require_unit("typical_p", params.typical_p);
  require_finite("top_n_sigma", params.top_n_sigma);
  require_not_negative("min_keep", params.min_keep);
  validate_penalties(params);
  validate_dry(params, n_vocab);
  validate_bias(params, n_vocab);
  require_unit("xtc_probability", params.xtc_probability);
  require_unit("xtc_threshold", params.xtc_threshold);
  require_finite("dynatemp_range", params.dynatemp_range);
  require_finite("dynatemp_exponent", params.dynatemp_exponent);
  validate_adaptation(params);
  validate_order(params);
}

}  // namespace foretoken::sampling
