// `foretoken eval perplexity`: how surprised the model is by a text.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "eval/bundled_text.h"
#include "eval/perplexity.h"
#include "eval_commands.h"
#include "interrupt.h"
#include "model_options.h"
#include "progress_bar.h"
#include "token_list.h"

namespace foretoken::tools {
namespace {

struct PerplexityCommand {
  ModelOptions model;
  std::string file;
  bool json = false;

  int run() const;
};

int PerplexityCommand::run() const {
  const auto engine = load_engine(model);
  const std::vector<TokenId> ids = read_score_text(file, engine->tokenizer());
  engine::SessionOptions options = session_options(model, *engine);
  if (model.context == 0) options.n_context = kTextWindow;
  options.use_mtp = false;
  engine::Session session(*engine, options);
  const InterruptScope interrupt;
  ProgressBar bar("scoring");
  const eval::Perplexity result =
      eval::measure_perplexity(session, ids, [&](int done, int total, const eval::Perplexity&) {
        bar.update(static_cast<std::size_t>(done), static_cast<std::size_t>(total), "windows");
        return !interrupt.interrupted();
      });
  if (json) {
    nlohmann::ordered_json out;
    out["perplexity"] = result.value;
    out["standard_error"] = result.standard_error;
    out["scored_tokens"] = result.n_scored;
    out["windows"] = result.n_windows;
    out["context"] = session.n_context();
    if (file.empty()) out["bundled_text"] = true;
    fmt::print("{}\n", out.dump());
  } else {
    fmt::print("perplexity {:.4f} +/- {:.4f} over {} tokens ({} windows of {}{})\n", result.value,
               result.standard_error, result.n_scored, result.n_windows, session.n_context(),
               file.empty() ? ", bundled text" : "");
  }
  return 0;
}

}  // namespace

std::vector<TokenId> read_score_text(const std::string& path,
                                     const tokenizer::Tokenizer& tokenizer) {
  const tokenizer::EncodeOptions plain{.parse_special = false};
  if (path.empty()) return tokenizer.encode(eval::bundled_text(), plain);
  return tokenizer.encode(read_text_file(path), plain);
}

void add_eval_perplexity(CLI::App& eval, const std::shared_ptr<Run>& chosen) {
  CLI::App* app = eval.add_subcommand("perplexity", "how surprised the model is by a text");
  auto command = std::make_shared<PerplexityCommand>();
  add_model_options(*app, command->model);
  app->get_option("--ctx-size")->description("tokens of a window; 0: 512");
  app->add_option("-f,--file", command->file,
                  "text to score; '-' for standard input; without: a short bundled text")
      ->type_name("FILE");
  app->add_flag("--json", command->json, "result as JSON");
  app->footer(
      "The text is cut into windows; the second half of each is scored, as llama-perplexity does.\n"
      "The bundled text (English, other languages, code) is for comparing files of one model\n"
      "quickly; figures on it compare with nothing else.");
  app->callback([=] { *chosen = [=] { return command->run(); }; });
}

}  // namespace foretoken::tools
