// `foretoken eval kld`: how far a file's predictions are from those of another, in two steps: save
// the base's logits, then compare others with them.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"
#include "eval/kl_divergence.h"
#include "eval_commands.h"
#include "interrupt.h"
#include "model_options.h"
#include "progress_bar.h"

namespace foretoken::tools {
namespace {

constexpr const char* kNotes =
    "  foretoken eval kld -m model-BF16.gguf -f text.txt --save-logits base.logits\n"
    "  foretoken eval kld -m model-Q4_K_M.gguf --base-logits base.logits\n"
    "\n"
    "The second command runs the text that is in the file. KLD is the mean Kullback-Leibler\n"
    "divergence per token in nats (0: the same predictions), delta p the change of the "
    "probability\n"
    "of the token that really follows, same top how often the most probable token is the same.\n"
    "The file takes 2 bytes per vocabulary entry and scored token: half a megabyte per token with\n"
    "250 000 entries. Without -f a short bundled text is used.";

struct KldCommand {
  ModelOptions model;
  std::string text_file;
  std::string save;
  std::string base;
  bool json = false;

  int run() const;

 private:
  int run_save() const;
  int run_compare() const;
};

nlohmann::ordered_json to_json(const eval::Perplexity& perplexity) {
  return {{"value", perplexity.value}, {"standard_error", perplexity.standard_error}};
}

nlohmann::ordered_json to_json(const eval::Estimate& estimate) {
  return {{"value", estimate.value}, {"standard_error", estimate.standard_error}};
}

void print_json(const eval::KlDivergence& r) {
  nlohmann::ordered_json out;
  out["scored_tokens"] = r.n_scored;
  out["windows"] = r.measured.n_windows;
  out["perplexity"] = to_json(r.measured);
  out["base_perplexity"] = to_json(r.base);
  out["perplexity_ratio"] = to_json(r.ratio);
  out["log_perplexity_ratio"] = to_json(r.log_ratio);
  out["kld"] = {{"mean", r.divergence.value},
                {"standard_error", r.divergence.standard_error},
                {"min", r.least},
                {"median", r.median},
                {"p90", r.p90},
                {"p95", r.p95},
                {"p99", r.p99},
                {"p99.9", r.p999},
                {"max", r.most}};
  out["delta_p"] = to_json(r.delta_p);
  out["rms_delta_p"] = to_json(r.rms_delta_p);
  out["same_top"] = to_json(r.same_top);
  fmt::print("{}\n", out.dump());
}

void print_text(const eval::KlDivergence& r) {
  fmt::print("{} tokens scored in {} windows\n\n", r.n_scored, r.measured.n_windows);
  fmt::print("perplexity       {:10.4f} +/- {:.4f}\n", r.measured.value, r.measured.standard_error);
  fmt::print("  of the base    {:10.4f} +/- {:.4f}\n", r.base.value, r.base.standard_error);
  fmt::print("  ratio          {:10.6f} +/- {:.6f}\n\n", r.ratio.value, r.ratio.standard_error);
  fmt::print("mean KLD         {:10.6f} +/- {:.6f}\n", r.divergence.value,
             r.divergence.standard_error);
  fmt::print("  max            {:10.6f}\n", r.most);
  fmt::print("  99.9 %         {:10.6f}\n", r.p999);
  fmt::print("  99 %           {:10.6f}\n", r.p99);
  fmt::print("  95 %           {:10.6f}\n", r.p95);
  fmt::print("  90 %           {:10.6f}\n", r.p90);
  fmt::print("  median         {:10.6f}\n", r.median);
  fmt::print("  min            {:10.6f}\n\n", r.least);
  fmt::print("mean delta p     {:8.3f} % +/- {:.3f} %\n", 100 * r.delta_p.value,
             100 * r.delta_p.standard_error);
  fmt::print("RMS delta p      {:8.3f} % +/- {:.3f} %\n", 100 * r.rms_delta_p.value,
             100 * r.rms_delta_p.standard_error);
  fmt::print("same top         {:8.3f} % +/- {:.3f} %\n", 100 * r.same_top.value,
             100 * r.same_top.standard_error);
}

int KldCommand::run_save() const {
  const auto engine = load_engine(model);
  const std::vector<TokenId> ids = read_score_text(text_file, engine->tokenizer());
  engine::SessionOptions options = session_options(model, *engine);
  if (model.context == 0) options.n_context = kTextWindow;
  options.use_mtp = false;
  engine::Session session(*engine, options);
  eval::Perplexity perplexity;
  {
    const InterruptScope interrupt;
    ProgressBar bar("scoring");
    perplexity = eval::save_logits(session, ids, save, [&](int done, int total) {
      bar.update(static_cast<std::size_t>(done), static_cast<std::size_t>(total), "windows");
      return !interrupt.interrupted();
    });
  }
  if (json) {
    nlohmann::ordered_json out;
    out["file"] = printable(save, save.size());
    out["scored_tokens"] = perplexity.n_scored;
    out["windows"] = perplexity.n_windows;
    out["perplexity"] = to_json(perplexity);
    fmt::print("{}\n", out.dump());
  } else {
    fmt::print("{}: {} tokens scored in {} windows, perplexity {:.4f} +/- {:.4f}\n",
               printable(save, save.size()), perplexity.n_scored, perplexity.n_windows,
               perplexity.value, perplexity.standard_error);
  }
  return 0;
}

int KldCommand::run_compare() const {
  const eval::LogitsFile file = eval::LogitsFile::open(base);
  const auto engine = load_engine(model);
  engine::SessionOptions options = session_options(model, *engine);
  options.n_context = static_cast<int>(file.header().window);
  options.use_mtp = false;
  engine::Session session(*engine, options);
  eval::KlDivergence result;
  {
    const InterruptScope interrupt;
    ProgressBar bar("comparing");
    result = eval::measure_kl_divergence(session, file, [&](int done, int total) {
      bar.update(static_cast<std::size_t>(done), static_cast<std::size_t>(total), "windows");
      return !interrupt.interrupted();
    });
  }
  if (json) {
    print_json(result);
  } else {
    print_text(result);
  }
  return 0;
}

int KldCommand::run() const {
  if (save.empty() == base.empty()) {
    throw RequestError(
        "give --save-logits FILE to save a base, or --base-logits FILE to compare with one");
  }
  if (!base.empty() && (!text_file.empty() || model.context != 0)) {
    throw RequestError("--base-logits brings its own text and windows; leave out -f and -c");
  }
  return save.empty() ? run_compare() : run_save();
}

}  // namespace

void add_eval_kld(CLI::App& eval, const std::shared_ptr<Run>& chosen) {
  CLI::App* app =
      eval.add_subcommand("kld", "how far a file's predictions are from another's (KL divergence)");
  auto command = std::make_shared<KldCommand>();
  KldCommand& c = *command;
  add_model_options(*app, c.model);
  app->get_option("--ctx-size")->description("tokens of a window when saving; 0: 512");
  app->add_option("-f,--file", c.text_file,
                  "text to score when saving; '-' for standard input; without: the bundled text")
      ->type_name("FILE");
  app->add_option("--save-logits", c.save, "save what the model thinks of the text")
      ->type_name("FILE");
  app->add_option("--base-logits", c.base, "compare the model with what was saved")
      ->type_name("FILE");
  app->add_flag("--json", c.json, "results as JSON");
  app->footer(kNotes);
  app->callback([=] { *chosen = [=] { return command->run(); }; });
}

}  // namespace foretoken::tools
