#include "eval/acceptance.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "engine/cost_table.h"
#include "engine/generate.h"

namespace foretoken::eval {
namespace {

constexpr int kMaxPredict = 1 << 20;

std::size_t z(int n) { return static_cast<std::size_t>(n); }

void check(const engine::Engine& engine, const AcceptanceOptions& options) {
  if (engine.mtp_head() == nullptr) {
    throw RequestError(
        fmt::format("{}: the file has no MTP head, so nothing can be drafted; 'foretoken graft' "
                    "gives it one",
                    engine.weights().file().path()));
  }
  if (options.max_depth < 1 || options.max_depth > engine::kMaxDraftChain) {
    throw RequestError(fmt::format("{} drafts a round are out of range; use 1 to {}",
                                   options.max_depth, engine::kMaxDraftChain));
  }
  if (options.n_predict < 2 || options.n_predict > kMaxPredict) {
    throw RequestError(fmt::format("answers of {} tokens are out of range; use 2 to {}",
                                   options.n_predict, kMaxPredict));
  }
  if (options.temperatures.empty()) throw RequestError("no temperature to measure at is given");
  for (const float t : options.temperatures) {
    if (!std::isfinite(t)) throw RequestError(fmt::format("temperature {} is not a number", t));
  }
}

struct EncodedCategory {
  std::string name;
  std::vector<std::vector<TokenId>> prompts;
};

std::vector<EncodedCategory> encode(const tokenizer::Tokenizer& tokenizer,
                                    const std::vector<AcceptanceCategory>& categories,
                                    bool thinking) {
  std::vector<EncodedCategory> out;
  for (const AcceptanceCategory& category : categories) {
    EncodedCategory& encoded = out.emplace_back();
    encoded.name = category.name;
    for (const AcceptancePrompt& prompt : category.prompts) {
      encoded.prompts.push_back(encode_prompt(tokenizer, prompt, thinking));
    }
  }
  return out;
}

engine::SessionOptions session_for(const std::vector<EncodedCategory>& categories,
                                   const AcceptanceOptions& options) {
  std::size_t longest = 0;
  for (const EncodedCategory& category : categories) {
    for (const auto& prompt : category.prompts) longest = std::max(longest, prompt.size());
  }
  // Room for a round behind the last token, so that no depth is cut short at the end.
  const std::size_t room = longest + z(options.n_predict) + z(engine::kMaxVerifyWidth);
  const int enough = static_cast<int>(std::min<std::size_t>(room, 1 << 30));
  return {.n_context = options.n_context == 0 ? enough : options.n_context,
          .n_batch = options.n_batch,
          .kv_types = options.kv_types,
          .use_mtp = true,
          .n_checkpoints = 0};
}

AcceptanceCount count(const engine::GenerateStats& stats, int depth) {
  AcceptanceCount out;
  out.n_tokens = stats.n_tokens;
  out.rounds = stats.rounds;
  out.drafted = stats.drafted;
  out.accepted = stats.accepted;
  out.drafted_at.assign(stats.drafted_at.begin(), stats.drafted_at.begin() + depth);
  out.accepted_at.assign(stats.accepted_at.begin(), stats.accepted_at.begin() + depth);
  return out;
}

/// The seed that asks the system for another one is left out, so that figures repeat.
std::uint32_t usable(std::uint32_t seed) { return seed == sampling::kRandomSeed ? 0 : seed; }

/// Answers prompts one by one and counts answers for the progress.
class Measurer {
 public:
  Measurer(engine::Session& session, const AcceptanceOptions& options,
           const AcceptanceProgress& progress, std::size_t n_answers)
      : session_(session), options_(options), progress_(progress), n_answers_(n_answers) {}

  AcceptanceCount answer(std::span<const TokenId> prompt, float temperature, std::uint32_t seed,
                         int depth) {
    session_.rewind(0);
    session_.prefill(prompt);
    sampling::SamplingParams sampling;
    sampling.temperature = temperature;
    sampling.seed = seed;
    engine::SpeculationOptions speculation;
    speculation.type = engine::SpeculationOptions::Type::DraftMtp;
    speculation.limits.n_max = depth;
    speculation.adaptive = false;
    speculation.draft_vocabulary = options_.draft_vocabulary;
    engine::Generator generator(session_, sampling, speculation);
    generator.observe_prompt();
    const engine::GenerateResult result = generator.generate({.max_tokens = options_.n_predict},
                                                             [&](TokenId) { return keep_going(); });
    if (result.reason == engine::StopReason::Cancelled) {
      throw Cancelled("stopped while measuring acceptance");
    }
    ++n_done_;
    return count(result.stats, depth);
  }

 private:
  bool keep_going() const { return !progress_ || progress_(n_done_, n_answers_); }

  engine::Session& session_;
  const AcceptanceOptions& options_;
  const AcceptanceProgress& progress_;
  std::size_t n_answers_;
  std::size_t n_done_ = 0;
};

AcceptanceRun measure_run(Measurer& measurer, const std::vector<EncodedCategory>& categories,
                          const AcceptanceOptions& options, float temperature) {
  const int max_depth = options.max_depth;
  AcceptanceRun run;
  run.temperature = temperature;
  run.all = {"all", 0, std::vector<AcceptanceCount>(z(max_depth))};
  for (const EncodedCategory& category : categories) {
    AcceptanceRow row{category.name, static_cast<int>(category.prompts.size()),
                      std::vector<AcceptanceCount>(z(max_depth))};
    for (int depth = 1; depth <= max_depth; ++depth) {
      for (std::size_t i = 0; i < category.prompts.size(); ++i) {
        const auto seed = options.seed + static_cast<std::uint32_t>(run.all.n_prompts) +
                          static_cast<std::uint32_t>(i);
        row.by_depth[z(depth - 1)].add(
            measurer.answer(category.prompts[i], temperature, usable(seed), depth));
      }
      run.all.by_depth[z(depth - 1)].add(row.by_depth[z(depth - 1)]);
    }
    run.all.n_prompts += row.n_prompts;
    run.rows.push_back(std::move(row));
  }
  return run;
}

}  // namespace

double AcceptanceCount::rate() const {
  return drafted == 0 ? 0.0 : static_cast<double>(accepted) / drafted;
}

double AcceptanceCount::tokens_per_round() const {
  return rounds == 0 ? 0.0 : 1.0 + static_cast<double>(accepted) / rounds;
}

void AcceptanceCount::add(const AcceptanceCount& other) {
  n_tokens += other.n_tokens;
  rounds += other.rounds;
  drafted += other.drafted;
  accepted += other.accepted;
  drafted_at.resize(std::max(drafted_at.size(), other.drafted_at.size()));
  accepted_at.resize(std::max(accepted_at.size(), other.accepted_at.size()));
  for (std::size_t i = 0; i < other.drafted_at.size(); ++i) drafted_at[i] += other.drafted_at[i];
  for (std::size_t i = 0; i < other.accepted_at.size(); ++i) accepted_at[i] += other.accepted_at[i];
}

AcceptanceReport measure_acceptance(engine::Engine& engine,
                                    const std::vector<AcceptanceCategory>& categories,
                                    const AcceptanceOptions& options,
                                    const AcceptanceProgress& progress) {
  check(engine, options);
  const std::vector<EncodedCategory> encoded =
      encode(engine.tokenizer(), categories, options.thinking);
  std::size_t n_prompts = 0;
  for (const EncodedCategory& category : encoded) n_prompts += category.prompts.size();
  if (n_prompts == 0) throw RequestError("no prompts to measure acceptance on are given");
  engine::Session session(engine, session_for(encoded, options));
  Measurer measurer(session, options, progress,
                    n_prompts * z(options.max_depth) * options.temperatures.size());
  AcceptanceReport report;
  report.options = options;
  for (const float temperature : options.temperatures) {
    report.runs.push_back(measure_run(measurer, encoded, options, temperature));
  }
  return report;
}

AcceptanceReport measure_acceptance(engine::Engine& engine, const AcceptanceOptions& options,
                                    const AcceptanceProgress& progress) {
  return measure_acceptance(engine, bundled_acceptance_categories(), options, progress);
}

}  // namespace foretoken::eval
