#include "sampling_options.h"

#include <fmt/format.h>

#include <charconv>
#include <limits>

#include "base/error.h"

namespace foretoken::tools {
namespace {

// TOKEN(+|-)BIAS, as llama.cpp writes it; "-inf" bans.
sampling::LogitBias parse_bias(const std::string& text) {
  const std::size_t sign = text.find_first_of("+-");
  const auto fail = [&]() -> RequestError {
    return RequestError(
        fmt::format("--logit-bias '{}' is malformed; write TOKEN+BIAS or TOKEN-BIAS, for "
                    "example 15043+1 or 15043-inf",
                    text));
  };
  if (sign == std::string::npos || sign == 0) throw fail();
  sampling::LogitBias out;
  const char* end = text.data() + sign;
  const auto id = std::from_chars(text.data(), end, out.token);
  if (id.ec != std::errc{} || id.ptr != end) throw fail();
  const std::string value = text.substr(sign + 1);
  if (value == "inf") {
    out.bias = std::numeric_limits<float>::infinity();
  } else {
    const auto number = std::from_chars(value.data(), value.data() + value.size(), out.bias);
    if (number.ec != std::errc{} || number.ptr != value.data() + value.size()) throw fail();
  }
  if (text[sign] == '-') out.bias = -out.bias;
  return out;
}

void add_number(CLI::App& group, const char* name, float& value, const char* what) {
  group.add_option(name, value, what)->capture_default_str()->type_name("X");
}

void add_less_usual_options(CLI::App& group, sampling::SamplingParams& p) {
  add_number(group, "--xtc-probability", p.xtc_probability,
             "chance that XTC removes the top choices; 0: off");
  add_number(group, "--xtc-threshold", p.xtc_threshold,
             "least probability of a top choice; above 0.5: off");
  add_number(group, "--dynatemp-range", p.dynatemp_range,
             "how far the temperature follows the entropy; 0: off");
  add_number(group, "--dynatemp-exp", p.dynatemp_exponent, "exponent of the entropy");
  group.add_option("--mirostat", p.mirostat, "1 or 2: mirostat instead of the filters; 0: off")
      ->capture_default_str()
      ->type_name("N");
  add_number(group, "--mirostat-lr", p.mirostat_eta, "mirostat's learning rate");
  add_number(group, "--mirostat-ent", p.mirostat_tau, "surprise mirostat aims at, bits");
  add_number(group, "--adaptive-target", p.adaptive_target,
             "probability adaptive-p aims at, 0 to 1; -1: off");
  add_number(group, "--adaptive-decay", p.adaptive_decay, "weight of adaptive-p's past, 0 to 0.99");
}

}  // namespace

void add_sampling_options(CLI::App& app, SamplingOptions& options) {
  sampling::SamplingParams& p = options.params;
  CLI::App* group = app.add_option_group("Sampling");
  group->add_option("-s,--seed", options.seed, "random seed; -1: a new one each time")
      ->type_name("N");
  group
      ->add_option("--temp,--temperature", p.temperature,
                   "temperature; 0: always the most probable token")
      ->capture_default_str()
      ->envname("LLAMA_ARG_TEMPERATURE")
      ->type_name("X");
  group->add_option("--top-k", p.top_k, "keep the k most probable tokens; 0: off")
      ->capture_default_str()
      ->envname("LLAMA_ARG_TOP_K")
      ->type_name("N");
  group->add_option("--top-p", p.top_p, "keep the smallest set of this probability; 1: off")
      ->capture_default_str()
      ->envname("LLAMA_ARG_TOP_P")
      ->type_name("P");
  group->add_option("--min-p", p.min_p, "drop tokens below this share of the best; 0: off")
      ->capture_default_str()
      ->envname("LLAMA_ARG_MIN_P")
      ->type_name("P");
  group->add_option("--typical,--typical-p", p.typical_p, "locally typical sampling; 1: off")
      ->capture_default_str()
      ->type_name("P");
  group
      ->add_option("--top-n-sigma,--top-nsigma", p.top_n_sigma,
                   "keep logits within n deviations of the best; -1: off")
      ->capture_default_str()
      ->type_name("N");
  group->add_option("--repeat-last-n", p.repeat_last_n, "tokens the penalties look back; 0: off")
      ->capture_default_str()
      ->type_name("N");
  group->add_option("--repeat-penalty", p.repeat_penalty, "penalty for repeated tokens; 1: off")
      ->capture_default_str()
      ->envname("LLAMA_ARG_REPEAT_PENALTY")
      ->type_name("X");
  group
      ->add_option("--presence-penalty", p.presence_penalty,
                   "subtracted once for tokens that occurred")
      ->capture_default_str()
      ->envname("LLAMA_ARG_PRESENCE_PENALTY")
      ->type_name("X");
  group->add_option("--frequency-penalty", p.frequency_penalty, "subtracted per occurrence")
      ->capture_default_str()
      ->envname("LLAMA_ARG_FREQUENCY_PENALTY")
      ->type_name("X");
  group
      ->add_option("--dry-multiplier", p.dry_multiplier,
                   "strength of DRY against repeated phrases; 0: off")
      ->capture_default_str()
      ->type_name("X");
  group->add_option("--dry-base", p.dry_base, "growth of DRY with the phrase's length")
      ->capture_default_str()
      ->type_name("X");
  group
      ->add_option("--dry-allowed-length", p.dry_allowed_length,
                   "phrases shorter than this are free")
      ->capture_default_str()
      ->type_name("N");
  group->add_option("--dry-penalty-last-n", p.dry_penalty_last_n, "tokens DRY looks back")
      ->capture_default_str()
      ->type_name("N");
  group
      ->add_option("--dry-sequence-breaker", options.dry_breakers,
                   "text across which DRY counts no phrase ('none': no breakers)")
      ->type_name("TEXT");
  add_less_usual_options(*group, p);
  group
      ->add_option("-l,--logit-bias", options.logit_bias,
                   "TOKEN+BIAS or TOKEN-BIAS, may be repeated")
      ->type_name("T+B");
}

sampling::SamplingParams finish_sampling(const SamplingOptions& options,
                                         const tokenizer::Tokenizer& tokenizer) {
  sampling::SamplingParams out = options.params;
  if (options.seed < -1 || options.seed > std::numeric_limits<std::uint32_t>::max()) {
    throw RequestError(
        fmt::format("--seed {} is out of range; use 0 to 4294967295, or -1", options.seed));
  }
  out.seed = options.seed < 0 ? sampling::kRandomSeed : static_cast<std::uint32_t>(options.seed);
  for (const std::string& text : options.logit_bias) out.logit_bias.push_back(parse_bias(text));
  if (out.dry_multiplier > 0.0F) {
    for (const std::string& text : options.dry_breakers) {
      if (text == "none") continue;
      out.dry_sequence_breakers.push_back(tokenizer.encode(text, {.parse_special = false}));
    }
  }
  return out;
}

}  // namespace foretoken::tools
