// `foretoken eval acceptance`: how often drafts of the MTP head are kept, by category and depth.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "engine/acceptance_estimator.h"
#include "eval/acceptance.h"
#include "eval_commands.h"
#include "interrupt.h"
#include "model_options.h"
#include "progress_bar.h"
#include "terminal_table.h"
#include "token_list.h"

namespace foretoken::tools {
namespace {

constexpr const char* kNotes =
    "  foretoken eval acceptance -m model.gguf\n"
    "  foretoken eval acceptance -m model.gguf --temp 0 --temp 1 --spec-draft-n-max 5 --json\n"
    "  foretoken eval acceptance -m model.gguf --prompts mine.json\n"
    "\n"
    "For each number of drafts a round: accepted drafts of those judged, and tokens per round "
    "(the\n"
    "model's own included, so 1 is no gain). A file of prompts looks like\n"
    "  {\"categories\": [{\"name\": \"code\", \"prompts\": [\"Write a loop.\", ...]}]}\n"
    "where a prompt is a text, a list of messages, or {\"messages\": [...], \"tools\": [...]}.\n"
    "Thinking is off unless --think, so that the text is of the kind asked for.";

struct AcceptanceCommand {
  ModelOptions model;
  eval::AcceptanceOptions options;
  std::string prompts;
  bool json = false;

  int run() const;
};

nlohmann::ordered_json row_json(const eval::AcceptanceRow& row) {
  nlohmann::ordered_json out;
  out["category"] = row.category;
  out["prompts"] = row.n_prompts;
  out["by_depth"] = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < row.by_depth.size(); ++i) {
    const eval::AcceptanceCount& count = row.by_depth[i];
    out["by_depth"].push_back({{"depth", i + 1},
                               {"acceptance", count.rate()},
                               {"tokens_per_round", count.tokens_per_round()},
                               {"drafted", count.drafted},
                               {"accepted", count.accepted},
                               {"rounds", count.rounds},
                               {"tokens", count.n_tokens},
                               {"drafted_by_position", count.drafted_at},
                               {"accepted_by_position", count.accepted_at}});
  }
  return out;
}

void print_json(const eval::AcceptanceReport& report, bool bundled) {
  nlohmann::ordered_json out;
  out["bundled_prompts"] = bundled;
  out["max_depth"] = report.options.max_depth;
  out["n_predict"] = report.options.n_predict;
  out["seed"] = report.options.seed;
  out["thinking"] = report.options.thinking;
  out["runs"] = nlohmann::ordered_json::array();
  for (const eval::AcceptanceRun& run : report.runs) {
    nlohmann::ordered_json one;
    one["temperature"] = run.temperature;
    one["categories"] = nlohmann::ordered_json::array();
    for (const eval::AcceptanceRow& row : run.rows) one["categories"].push_back(row_json(row));
    one["all"] = row_json(run.all);
    out["runs"].push_back(std::move(one));
  }
  fmt::print("{}\n", out.dump());
}

void print_run(const Terminal& terminal, const eval::AcceptanceRun& run) {
  const std::size_t max_depth = run.all.by_depth.size();
  fmt::print("{}\n", terminal.bold(run.temperature <= 0.0F
                                       ? std::string("greedy")
                                       : fmt::format("temperature {:g}", run.temperature)));
  std::vector<Align> columns = {Align::Left, Align::Right};
  std::vector<std::string> head = {terminal.dim("category"), terminal.dim("prompts")};
  for (std::size_t n = 1; n <= max_depth; ++n) {
    columns.push_back(Align::Right);
    head.push_back(terminal.dim(fmt::format("n={}", n)));
  }
  columns.push_back(Align::Right);
  head.push_back(terminal.dim(fmt::format("tokens/round n={}", max_depth)));
  Table table(terminal, columns);
  table.add(std::move(head));
  const auto add = [&](const eval::AcceptanceRow& row, bool bold) {
    const auto cell = [&](const std::string& text) { return bold ? terminal.bold(text) : text; };
    std::vector<std::string> cells = {cell(row.category), cell(fmt::format("{}", row.n_prompts))};
    for (const eval::AcceptanceCount& count : row.by_depth) {
      cells.push_back(cell(count.drafted == 0 ? "-" : fmt::format("{:.3f}", count.rate())));
    }
    cells.push_back(cell(fmt::format("{:.2f}", row.by_depth.back().tokens_per_round())));
    table.add(std::move(cells));
  };
  for (const eval::AcceptanceRow& row : run.rows) add(row, false);
  add(run.all, true);
  table.print();
}

int AcceptanceCommand::run() const {
  const std::vector<eval::AcceptanceCategory> categories =
      prompts.empty() ? eval::bundled_acceptance_categories()
                      : eval::parse_acceptance_prompts(read_text_file(prompts), printable(prompts));
  const auto engine = load_engine(model);
  const engine::SessionOptions session = session_options(model, *engine);
  eval::AcceptanceOptions all = options;
  all.n_context = model.context;
  all.n_batch = session.n_batch;
  all.kv_types = session.kv_types;
  eval::AcceptanceReport report;
  {
    const InterruptScope interrupt;
    ProgressBar bar("answering");
    report = eval::measure_acceptance(*engine, categories, all,
                                      [&](std::size_t done, std::size_t total) {
                                        bar.update(done, total, "answers");
                                        return !interrupt.interrupted();
                                      });
  }
  if (json) {
    print_json(report, prompts.empty());
    return 0;
  }
  const Terminal terminal = Terminal::standard_output();
  for (std::size_t i = 0; i < report.runs.size(); ++i) {
    if (i > 0) fmt::print("\n");
    print_run(terminal, report.runs[i]);
  }
  return 0;
}

}  // namespace

void add_eval_acceptance(CLI::App& eval, const std::shared_ptr<Run>& chosen) {
  CLI::App* app = eval.add_subcommand("acceptance",
                                      "how often drafts of the MTP head are kept, by kind of text");
  auto command = std::make_shared<AcceptanceCommand>();
  AcceptanceCommand& c = *command;
  add_model_options(*app, c.model);
  app->get_option("--ctx-size")->description("tokens the context holds; 0: what answers need");
  app->add_option("--spec-draft-n-max", c.options.max_depth, "measure 1 to N drafts a round")
      ->capture_default_str()
      ->check(CLI::Range(1, engine::kMaxDraftChain))
      ->type_name("N");
  app->add_option("-n,--predict,--n-predict", c.options.n_predict, "most tokens of an answer")
      ->capture_default_str()
      ->type_name("N");
  app->add_option("--temp", c.options.temperatures,
                  "temperature, 0: greedy; may be repeated (default 0 and 0.7)")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->type_name("T");
  app->add_option("-s,--seed", c.options.seed, "seed of sampled answers")
      ->capture_default_str()
      ->type_name("N");
  app->add_option("--prompts", c.prompts, "JSON file of prompts; without: the bundled ones")
      ->type_name("FILE");
  app->add_flag("--think", c.options.thinking, "let the model think before it answers");
  app->add_option("--spec-draft-vocab", c.options.draft_vocabulary,
                  "rows of the output matrix that drafts may come from; 0: all")
      ->capture_default_str()
      ->type_name("N");
  app->add_flag("--json", c.json, "all counts as JSON");
  app->footer(kNotes);
  app->callback([=] { *chosen = [=] { return command->run(); }; });
}

}  // namespace foretoken::tools
