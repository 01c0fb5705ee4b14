// `foretoken graft`: gives a fine-tune the MTP head of its base model back.
#include "convert/graft.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "base/thread_pool.h"
#include "command.h"
#include "interrupt.h"
#include "progress_bar.h"
#include "terminal_table.h"

namespace foretoken::tools {
namespace {

using nlohmann::ordered_json;

constexpr const char* kNotes =
    "Both sides may be checkpoint folders (safetensors) or GGUF files; a checkpoint's head goes "
    "into "
    "a checkpoint or into a GGUF file, a GGUF file's head into a GGUF file. Weights that stay as "
    "they "
    "are keep their bytes, whatever their type.\n"
    "\n"
    "Before anything is written the fit is checked: shapes, rotary embedding, tokenizers, damaged "
    "tensors. All that does not fit is listed at once. A doubt can be overruled with --force and "
    "its "
    "topic; a refusal cannot.\n"
    "\n"
    "  foretoken graft --base Qwen3.5-9B --finetune my-model --out my-model-mtp\n"
    "  foretoken graft --base base-Q8_0.gguf --finetune my-Q4_K_M.gguf --out my-mtp-Q4_K_M.gguf\n"
    "  foretoken graft --base Qwen3.5-9B --finetune my-Q4_K_M.gguf --out my-mtp-Q4_K_M.gguf\n"
    "  foretoken graft --base Qwen3.5-9B --extract --out qwen-head.safetensors\n"
    "\n"
    "Exit status: 0 done, or with --dry-run possible; 1 it does not fit or a file is wrong; 2 the "
    "command line is wrong; 130 interrupted. Whatever happens, the output is whole or not there.";

struct GraftCommand {
  convert::GraftOptions options;
  bool extract = false;
  std::vector<std::string> force;
  std::string head_type;
  bool dry_run = false;
  bool json = false;
  int n_threads = 0;

  void check();
  int run();
};

void GraftCommand::check() {
  if (extract != options.finetune.empty()) {
    throw RequestError(extract ? "--extract writes the head alone: leave out --finetune"
                               : "--finetune is missing: the model that gets the head (or give "
                                 "--extract for the head alone)");
  }
  if (!head_type.empty()) {
    options.head_type = quant::find_type_by_name(head_type);
    if (!options.head_type) {
      throw RequestError(fmt::format("--head-type {}: unknown type; try BF16, F16, F32 or Q8_0",
                                     quoted(head_type)));
    }
  }
  options.force.insert(force.begin(), force.end());
}

std::string_view severity_name(convert::Severity severity) {
  switch (severity) {
    case convert::Severity::Note:
      return "note";
    case convert::Severity::Doubt:
      return "doubt";
    case convert::Severity::Refusal:
      return "refusal";
  }
  return "";
}

bool holds_up(const convert::Finding& finding, const std::set<std::string>& forced) {
  return convert::forbids({finding}, forced);
}

// ---- for people

double mib(std::size_t bytes) { return static_cast<double>(bytes) / (1024.0 * 1024.0); }

void print_findings(const convert::GraftPlan& plan, const std::set<std::string>& forced,
                    std::FILE* stream) {
  for (const convert::Finding& finding : plan.findings) {
    const bool stops = holds_up(finding, forced);
    const bool overruled = finding.severity == convert::Severity::Doubt && !stops;
    fmt::print(stream, "{}: {}{}{}\n", overruled ? "overruled" : severity_name(finding.severity),
               finding.what, stops && !finding.advice.empty() ? "\n  " : "",
               stops ? finding.advice : "");
  }
}

void print_plan(const convert::GraftPlan& plan) {
  const Terminal terminal = Terminal::standard_output();
  fmt::print("{}\n", terminal.bold(plan.title));
  if (!plan.allowed) return;
  fmt::print("\n{}\n", terminal.bold("Tensors"));
  Table tensors(terminal, {Align::Left, Align::Left, Align::Left, Align::Right});
  for (const convert::HeadMove& move : plan.head) {
    const bool changes = move.from_type != move.to_type;
    tensors.add({printable(move.from), printable(move.to),
                 changes ? fmt::format("{} -> {}", move.from_type, move.to_type) : move.to_type,
                 terminal.dim(fmt::format("{} B", move.size_bytes))});
  }
  tensors.print();
  fmt::print("\n{}\n", terminal.bold("Files"));
  Table files(terminal, {Align::Left, Align::Left, Align::Right});
  for (const convert::FileMove& file : plan.files) {
    files.add(
        {printable(file.name), file.note, terminal.dim(fmt::format("{} B", file.size_bytes))});
  }
  files.print();
  for (const std::string& name : plan.left_out) {
    fmt::print("  {}\n", terminal.dim("left out: " + printable(name)));
  }
  fmt::print("\n{} tensors, {} files, {:.1f} MiB in all\n", plan.head.size(), plan.files.size(),
             mib(plan.size_bytes));
}

// ---- for scripts

ordered_json to_json(const convert::GraftPlan& plan, const GraftCommand& command, bool written) {
  ordered_json out;
  out["out"] = command.options.out;
  out["allowed"] = plan.allowed;
  out["written"] = written;
  out["bytes"] = plan.size_bytes;
  out["findings"] = ordered_json::array();
  for (const convert::Finding& finding : plan.findings) {
    out["findings"].push_back({{"severity", severity_name(finding.severity)},
                               {"topic", finding.topic},
                               {"stops", holds_up(finding, command.options.force)},
                               {"what", finding.what},
                               {"advice", finding.advice}});
  }
  out["tensors"] = ordered_json::array();
  for (const convert::HeadMove& move : plan.head) {
    out["tensors"].push_back({{"from", move.from},
                              {"to", move.to},
                              {"from_type", move.from_type},
                              {"to_type", move.to_type},
                              {"bytes", move.size_bytes}});
  }
  out["files"] = ordered_json::array();
  for (const convert::FileMove& file : plan.files) {
    out["files"].push_back({{"name", file.name},
                            {"source", file.source},
                            {"note", file.note},
                            {"bytes", file.size_bytes}});
  }
  out["left_out"] = plan.left_out;
  return out;
}

void print_json(const ordered_json& value) {
  fmt::print("{}\n", value.dump(2, ' ', false, ordered_json::error_handler_t::replace));
}

/// The plan's way to its end; returns the seconds it took.
double write(const convert::GraftPlan& plan, int n_threads) {
  const auto start = std::chrono::steady_clock::now();
  const InterruptScope interrupt;
  ProgressBar bar("grafting");
  ThreadPool pool(n_threads);
  plan.write(pool, [&](std::size_t done, std::size_t total) {
    bar.update_bytes(done, total);
    return !interrupt.interrupted();
  });
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

int GraftCommand::run() {
  check();
  const convert::GraftPlan plan = convert::plan_graft(options);
  const auto n_stops = std::ranges::count_if(
      plan.findings, [this](const auto& finding) { return holds_up(finding, options.force); });
  if (!json) {
    if (dry_run) print_plan(plan);
    std::fflush(stdout);
    print_findings(plan, options.force, dry_run ? stdout : stderr);
  }
  const bool writes = plan.allowed && !dry_run;
  // Copying is the memory's work: a few threads fill it, more only stand in line.
  const int n_cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  const double seconds =
      writes ? write(plan, n_threads > 0 ? n_threads : std::min(4, n_cores)) : 0.0;
  if (json) {
    print_json(to_json(plan, *this, writes));
  } else if (writes) {
    fmt::print("{}: {:.1f} MiB in {:.2f} s ({:.0f} MiB/s), {} tensors{}\n", options.out,
               mib(plan.size_bytes), seconds, mib(plan.size_bytes) / std::max(seconds, 1e-6),
               plan.head.size(), extract ? "" : " of the head");
  }
  if (plan.allowed) return 0;
  std::fflush(stdout);
  throw FormatError(fmt::format("the head does not fit: {} finding{} above; nothing was written",
                                n_stops, n_stops == 1 ? "" : "s"));
}

}  // namespace

Run add_graft(CLI::App& app) {
  auto command = std::make_shared<GraftCommand>();
  GraftCommand& c = *command;
  app.add_option("--base", c.options.base, "model with the head: checkpoint folder or GGUF file")
      ->required()
      ->type_name("DIR|FILE");
  app.add_option("--finetune", c.options.finetune, "model that gets it: the same")
      ->type_name("DIR|FILE");
  app.add_option("-o,--out", c.options.out,
                 "what to write: a new folder for a checkpoint, a file for GGUF")
      ->required()
      ->type_name("DIR|FILE");
  app.add_flag("--extract", c.extract,
               "write the head alone, as .safetensors or .gguf, to be used as --base later");
  app.add_flag("--dry-run", c.dry_run, "check and show the plan; write nothing");
  app.add_flag("--replace", c.options.replace, "put the head in the place of one that is there");
  std::vector<std::string> topics;
  for (const char* topic : convert::doubt_topics()) topics.emplace_back(topic);
  app.add_option("--force", c.force,
                 fmt::format("topics of doubts to overrule: {}", fmt::join(topics, ", ")))
      ->delimiter(',')
      ->check(CLI::IsMember(topics))
      ->type_name("TOPIC,...");
  app.add_option("--head-type", c.head_type,
                 "type of the head's matrices on the way from a checkpoint into a GGUF file (F32, "
                 "F16, BF16, Q8_0, ...); by default that of the file's own, or Q8_0 in a quantized "
                 "file: the head is small, and coarse guesses are rejected more often")
      ->type_name("TYPE");
  app.add_option("-t,--threads", c.n_threads, "threads; 0: up to four")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  app.add_flag("--json", c.json, "print one JSON document");
  app.footer(kNotes);
  return [command] { return command->run(); };
}

}  // namespace foretoken::tools
