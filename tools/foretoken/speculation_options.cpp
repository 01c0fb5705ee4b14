#include "speculation_options.h"

#include <fmt/format.h>

#include "base/error.h"

namespace foretoken::tools {
namespace {

constexpr std::uint64_t kSyntheticSeed = 1;
constexpr int kUsualDraftMax = 3;  // llama.cpp's default, where a fixed depth is asked for

using Type = engine::SpeculationOptions::Type;

Type parse_type(const std::string& name) {
  if (name == "auto") return Type::Auto;
  if (name == "none") return Type::None;
  if (name == "draft-mtp" || name == "mtp") return Type::DraftMtp;
  throw RequestError(fmt::format("--spec-type '{}' is unknown; use auto, draft-mtp or none", name));
}

}  // namespace

void add_speculation_options(CLI::App& app, SpeculationFlags& flags, bool measuring) {
  CLI::App* group = app.add_option_group("Speculative decoding (changes speed, never the text)");
  group
      ->add_option("--spec-type", flags.type,
                   "auto (the MTP head where the file has one), draft-mtp, none")
      ->capture_default_str()
      ->envname("LLAMA_ARG_SPEC_TYPE")
      ->type_name("TYPE");
  group->add_flag_callback(
      "--spec-mtp", [&flags] { flags.type = "draft-mtp"; }, "same as --spec-type draft-mtp (-mtp)");
  group
      ->add_option_function<int>(
          "--spec-draft-n-max",
          [&flags](int n) {
            flags.n_max = n;
            flags.n_max_given = true;
          },
          "most tokens drafted in a round, 0 to 8")
      ->envname("LLAMA_ARG_SPEC_DRAFT_N_MAX")
      ->type_name("N");
  group->add_option("--spec-draft-n-min", flags.n_min, "drop drafts shorter than this")
      ->envname("LLAMA_ARG_SPEC_DRAFT_N_MIN")
      ->type_name("N");
  group
      ->add_option("--spec-draft-p-min", flags.p_min,
                   "end a draft where its best guess is below this")
      ->envname("LLAMA_ARG_SPEC_DRAFT_P_MIN")
      ->type_name("P");
  if (measuring) {
    group->add_flag("--spec-draft-adaptive", flags.adaptive,
                    "draft as deep as pays instead of always to the limit");
  } else {
    group->add_flag("--spec-draft-fixed", flags.fixed,
                    "always draft to the limit instead of as deep as pays");
  }
  group
      ->add_option("--spec-draft-vocab", flags.vocabulary,
                   "rows of the output matrix that drafts may come from; 0: all")
      ->capture_default_str()
      ->type_name("N");
  group
      ->add_option(
          "--spec-synth-rates", flags.synth_rates,
          "benchmark only: accept drafts by chance, with these probabilities (the text is wrong)")
      ->type_name("R1,R2,..");
  group
      ->add_option("--spec-synth-len", flags.synth_length,
                   "benchmark only: accept drafts by chance, this many tokens a round on average")
      ->type_name("L");
}

engine::SpeculationOptions finish_speculation(const SpeculationFlags& flags, bool measuring) {
  engine::SpeculationOptions out;
  out.type = parse_type(flags.type);
  out.adaptive = measuring ? flags.adaptive : !flags.fixed;
  const int usual = out.adaptive ? engine::kMaxDraftChain : kUsualDraftMax;
  out.limits.n_max = flags.n_max_given ? flags.n_max : usual;
  out.limits.n_min = flags.n_min;
  out.limits.p_min = flags.p_min;
  engine::validate(out.limits);
  if (flags.vocabulary < 0) {
    throw RequestError(
        fmt::format("--spec-draft-vocab {} is negative; use 0 for all rows", flags.vocabulary));
  }
  out.draft_vocabulary = flags.vocabulary;
  if (!flags.synth_rates.empty() && !flags.synth_length.empty()) {
    throw RequestError("--spec-synth-rates and --spec-synth-len exclude each other");
  }
  if (!flags.synth_rates.empty()) {
    out.synthetic = engine::SyntheticAcceptance::parse_rates(flags.synth_rates, out.limits.n_max,
                                                             kSyntheticSeed);
  } else if (!flags.synth_length.empty()) {
    out.synthetic = engine::SyntheticAcceptance::parse_length(flags.synth_length, out.limits.n_max,
                                                              kSyntheticSeed);
  }
  return out;
}

}  // namespace foretoken::tools
