// What a request may ask of the sampler: names and defaults as llama.cpp's server has them, so that
// clients written for it get the same law of tokens. Checked once, by `validate`, at the border;
// everything behind it trusts the values.
// Source of names and defaults: llama.cpp, common/common.h and tools/server (September 2026).
#pragma once

#include <cstdint>
#include <vector>

#include "base/token.h"

namespace foretoken::sampling {

/// Added to one token's logit before anything else; minus infinity bans the token.
struct LogitBias {
  TokenId token = 0;
  float bias = 0.0F;
};

/// Ask the system for a seed.
inline constexpr std::uint32_t kRandomSeed = 0xFFFFFFFFU;

/// Longest breaker of DRY in tokens, as in llama.cpp.
inline constexpr int kMaxBreakerTokens = 20;

/// The transforms that a request may order. The enumerators stand in the default order.
enum class ChainStep { Penalties, Dry, TopNSigma, TopK, TypicalP, TopP, MinP, Xtc, Temperature };

/// All transforms of one sequence. Fields that "switch off" at a value say which.
struct SamplingParams {
  std::uint32_t seed = kRandomSeed;

  float temperature = 0.8F;   ///< 0 or below: always the most probable token
  int top_k = 40;             ///< keep the k largest; 0 or below: off
  float top_p = 0.95F;        ///< smallest set holding this much probability; 1: off
  float min_p = 0.05F;        ///< drop tokens below min_p times the best; 0: off
  float typical_p = 1.0F;     ///< locally typical sampling; 1: off
  float top_n_sigma = -1.0F;  ///< keep logits within n deviations of the best; 0 or below: off
  int min_keep = 0;           ///< typical_p, top_p and min_p leave at least this many

  int repeat_last_n = 64;          ///< tokens the three penalties look back; 0: off
  float repeat_penalty = 1.0F;     ///< divides positive, multiplies negative logits; 1: off
  float presence_penalty = 0.0F;   ///< subtracted once when the token occurred; 0: off
  float frequency_penalty = 0.0F;  ///< subtracted per occurrence; 0: off

  float dry_multiplier = 0.0F;  ///< 0: DRY off
  float dry_base = 1.75F;
  int dry_allowed_length = 2;   ///< repeats shorter than this are free
  int dry_penalty_last_n = 64;  ///< tokens DRY looks back; 0: off
  /// Token sequences across which no repeat is counted. The caller expands breaker strings to every
  /// token sequence that spells them.
  std::vector<std::vector<TokenId>> dry_sequence_breakers;

  std::vector<LogitBias> logit_bias;  ///< entries for the same token add up

  float xtc_probability = 0.0F;  ///< chance that XTC removes the top choices; 0: off
  float xtc_threshold = 0.1F;    ///< least probability of a top choice; above 0.5: off
  float dynatemp_range = 0.0F;   ///< the temperature follows the entropy this far; 0 or below: off
  float dynatemp_exponent = 1.0F;  ///< of the normalised entropy

  int mirostat = 0;           ///< 1 or 2: instead of every step but temperature; 0: off
  float mirostat_tau = 5.0F;  ///< surprise aimed at, bits
  float mirostat_eta = 0.1F;  ///< learning rate

  float adaptive_target = -1.0F;  ///< probability aimed at, at most 1; below 0: off
  float adaptive_decay = 0.9F;    ///< weight of the mean's past, 0 to 0.99

  /// The steps in the order wanted; what is not named is off. Empty: all, in the default order.
  std::vector<ChainStep> order;
};

/// Throws RequestError for the first value that is out of range, not a number or unsupported,
/// naming the field, the value and what is allowed. Requires n_vocab >= 1.
void validate(const SamplingParams& params, int n_vocab);

}  // namespace foretoken::sampling
