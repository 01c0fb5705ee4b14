// `foretoken eval`: numbers for comparing engines and files. Logits and ids are here; the measures
// have files of their own (eval_*.cpp).
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "command.h"
#include "engine/generate.h"
#include "eval/npy.h"
#include "eval_commands.h"
#include "model_options.h"
#include "progress_bar.h"
#include "sampling_options.h"
#include "speculation_options.h"
#include "token_list.h"

namespace foretoken::tools {
namespace {

struct TokenInput {
  std::string list;
  std::string file;
};

void add_token_input(CLI::App& app, TokenInput& input) {
  auto* list =
      app.add_option("--tokens", input.list, "token ids: 1,2,3 or [1, 2, 3]")->type_name("IDS");
  app.add_option("--tokens-file", input.file, "file with token ids; '-' for standard input")
      ->type_name("FILE")
      ->excludes(list);
}

std::vector<TokenId> read_tokens(const TokenInput& input) {
  if (!input.file.empty()) return parse_token_list(read_text_file(input.file), input.file);
  if (input.list.empty()) throw RequestError("give token ids with --tokens or --tokens-file");
  return parse_token_list(input.list, "--tokens");
}

// A context just large enough where none was asked for, so that small runs stay small.
engine::SessionOptions fitted_session(const ModelOptions& model, const engine::Engine& engine,
                                      std::size_t n) {
  engine::SessionOptions out = session_options(model, engine);
  if (model.context == 0) out.n_context = std::max(1, static_cast<int>(n));
  return out;
}

struct Logits {
  ModelOptions model;
  TokenInput tokens;
  std::string out;
  bool all = false;

  int run() const {
    const std::vector<TokenId> ids = read_tokens(tokens);
    const auto engine = load_engine(model);
    engine::SessionOptions options = fitted_session(model, *engine, ids.size());
    options.use_mtp = false;
    engine::Session session(*engine, options);
    const auto n_vocab = static_cast<std::size_t>(engine->config().n_vocab);
    ProgressBar bar("reading");
    if (all) {
      eval::NpyWriter writer(out, ids.size(), n_vocab);
      session.prefill_with_logits(ids, [&](int first, int n, std::span<const float> rows) {
        writer.write(rows);
        bar.update(static_cast<std::size_t>(first + n), ids.size(), "tokens");
      });
      writer.finish();
    } else {
      session.prefill(ids, [&](int done, int total) {
        bar.update(static_cast<std::size_t>(done), static_cast<std::size_t>(total), "tokens");
        return true;
      });
      eval::NpyWriter writer(out, 0, n_vocab);
      writer.write(session.last_logits());
      writer.finish();
    }
    return 0;
  }
};

struct Generate {
  ModelOptions model;
  TokenInput tokens;
  SamplingOptions sampling;
  SpeculationFlags speculation;
  int n_predict = 128;
  bool ignore_end = false;
  bool json = false;

  int run() const {
    const std::vector<TokenId> ids = read_tokens(tokens);
    const engine::SpeculationOptions spec = finish_speculation(speculation, true);
    if (n_predict < 0)
      throw RequestError(fmt::format("-n {} is negative; give the number of tokens", n_predict));
    const auto engine = load_engine(model);
    engine::Session session(
        *engine, fitted_session(model, *engine, ids.size() + static_cast<std::size_t>(n_predict)));
    session.prefill(ids);
    engine::Generator generator(session, finish_sampling(sampling, engine->tokenizer()), spec);
    generator.observe_prompt();
    engine::GenerateOptions options;
    options.max_tokens = n_predict;
    options.ignore_end = ignore_end;
    const engine::GenerateResult result = generator.generate(options);
    if (json) {
      print_json(result);
    } else {
      fmt::print("{}\n", engine->tokenizer().decode(result.tokens));
    }
    return 0;
  }

  static void print_json(const engine::GenerateResult& result) {
    const engine::GenerateStats& stats = result.stats;
    nlohmann::ordered_json out;
    out["tokens"] = result.tokens;
    out["rounds"] = stats.rounds;
    out["drafted"] = stats.drafted;
    out["accepted"] = stats.accepted;
    out["drafted_by_position"] = stats.drafted_at;
    out["accepted_by_position"] = stats.accepted_at;
    out["mean_accepted_length"] = stats.mean_accepted_length();
    out["seconds"] = stats.seconds;
    if (stats.synthetic) out["synthetic_acceptance"] = true;
    fmt::print("{}\n", out.dump());
  }
};

}  // namespace

Run add_eval(CLI::App& app) {
  app.require_subcommand(1);
  auto chosen = std::make_shared<Run>();

  CLI::App* logits_app =
      app.add_subcommand("logits", "write float32 logits as .npy, for comparing engines");
  auto logits = std::make_shared<Logits>();
  add_model_options(*logits_app, logits->model);
  add_token_input(*logits_app, logits->tokens);
  logits_app
      ->add_option("-o,--output", logits->out,
                   "file to write: [n_vocab], or [tokens, n_vocab] with --all")
      ->required()
      ->type_name("FILE");
  logits_app->add_flag("--all", logits->all, "every position instead of the last");
  logits_app->callback([=] { *chosen = [=] { return logits->run(); }; });

  CLI::App* generate_app =
      app.add_subcommand("generate", "continue token ids and print ids and draft counts");
  auto generate = std::make_shared<Generate>();
  add_model_options(*generate_app, generate->model);
  add_token_input(*generate_app, generate->tokens);
  generate_app->add_option("-n,--predict,--n-predict", generate->n_predict, "tokens to generate")
      ->capture_default_str()
      ->type_name("N");
  generate_app->add_flag("--ignore-eos", generate->ignore_end, "go on past the end of the text");
  generate_app->add_flag("--json", generate->json, "ids and counts as JSON instead of text");
  add_sampling_options(*generate_app, generate->sampling);
  add_speculation_options(*generate_app, generate->speculation, true);
  generate_app->callback([=] { *chosen = [=] { return generate->run(); }; });

  add_eval_perplexity(app, chosen);
  add_eval_acceptance(app, chosen);
  add_eval_kld(app, chosen);

  return [chosen] { return (*chosen)(); };
}

}  // namespace foretoken::tools
