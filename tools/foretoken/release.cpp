// `foretoken release`: from a base model and a fine-tune that lost its MTP head to the finished set
// of files with a model card.
#include "release/release.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "command.h"
#include "interrupt.h"
#include "progress_bar.h"
#include "terminal_table.h"

namespace foretoken::tools {
namespace {

struct ReleaseCommand {
  release::ReleaseOptions options;
  release::RunOptions run;
  std::string types = "BF16,Q8_0,Q6_K,Q4_K_M";
  std::string vision_type = "BF16";
  std::string force;
  bool no_vision = false;
  bool no_measure = false;
  bool dry_run = false;
  bool json = false;
};

std::vector<std::string> split_list(const std::string& text) {
  std::vector<std::string> out(1);
  for (const char c : text) {
    if (c == ',') {
      out.emplace_back();
    } else {
      out.back() += c;
    }
  }
  std::erase_if(out, [](const std::string& word) { return word.empty(); });
  return out;
}

// The command line as a card shows it: folders by their last name, which mean something elsewhere.
std::string card_command(const ReleaseCommand& command) {
  const auto last = [](std::string path) {
    while (path.size() > 1 && path.back() == '/') path.pop_back();
    return path.substr(path.rfind('/') + 1);
  };
  std::string out = fmt::format("foretoken release --base {} --finetune {} --out {} --types {}",
                                last(command.options.base), last(command.options.finetune),
                                last(command.options.out), command.types);
  if (!command.options.name.empty()) out += " --name " + command.options.name;
  if (!command.options.imatrix.empty()) out += " --imatrix " + last(command.options.imatrix);
  if (command.options.protect_mtp) out += " --protect-mtp";
  if (command.no_vision) out += " --no-mmproj";
  return out;
}

std::string gigabytes(std::size_t bytes) {
  const auto n = static_cast<double>(bytes);
  return n >= 1e9 ? fmt::format("{:.2f} GB", n / 1e9) : fmt::format("{:.1f} MB", n / 1e6);
}

void print_plan(const release::ReleasePlan& plan) {
  fmt::print("{} -> {}\n", plan.card.model, plan.out);
  for (const release::CardFile& file : plan.card.files) {
    fmt::print("  {:<40} {:>10}  {:.2f} bits per weight\n", file.name, gigabytes(file.size_bytes),
               file.bits_per_weight);
  }
  fmt::print("  {:<40} {:>10}\n", "in all", gigabytes(plan.bytes()));
  for (const std::string& note : plan.notes) fmt::print("note: {}\n", note);
}

nlohmann::ordered_json to_json(const release::CardFile& file) {
  nlohmann::ordered_json out;
  out["name"] = file.name;
  out["type"] = file.type;
  out["size_bytes"] = file.size_bytes;
  if (!file.sha256.empty()) out["sha256"] = file.sha256;
  if (file.measured.perplexity) out["perplexity"] = *file.measured.perplexity;
  for (const release::CardAcceptance& row : file.measured.acceptance) {
    out["acceptance"].push_back({{"depth", row.depth},
                                 {"accepted", row.accepted},
                                 {"tokens_per_round", row.tokens_per_round}});
  }
  if (!file.not_measured.empty()) out["not_measured"] = file.not_measured;
  return out;
}

void print_json(const release::ReleasePlan& plan, const release::Card& card,
                const release::ReleaseResult* result) {
  nlohmann::ordered_json out;
  out["out"] = plan.out;
  out["notes"] = plan.notes;
  if (result != nullptr) {
    out["was_complete"] = result->was_complete;
    out["resumed_tensors"] = result->n_resumed;
    out["write_seconds"] = result->write_seconds;
  }
  out["files"] = nlohmann::ordered_json::array();
  for (const release::CardFile& file : card.files) out["files"].push_back(to_json(file));
  fmt::print("{}\n", out.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

void print_result(const release::ReleasePlan& plan, const release::ReleaseResult& result) {
  if (result.was_complete) fmt::print("{}: complete already\n", plan.out);
  for (const release::CardFile& file : result.card.files) {
    std::string measured = file.is_vision ? "" : file.not_measured;
    if (file.measured.perplexity) {
      measured = fmt::format("perplexity {:.3f}", *file.measured.perplexity);
      for (const release::CardAcceptance& row : file.measured.acceptance) {
        measured += fmt::format(
            ", {} {:.1f} %", row.depth == 1 ? "accepted at depth 1" : fmt::format("{}", row.depth),
            100.0 * row.accepted);
      }
    }
    fmt::print("{:<40} {:>10}  {}\n", file.name, gigabytes(file.size_bytes), measured);
  }
  fmt::print("model card: {}/README.md\n", plan.out);
}

int run_command(ReleaseCommand command) {
  command.options.types = split_list(command.types);
  for (const std::string& topic : split_list(command.force)) command.options.force.insert(topic);
  command.options.vision = !command.no_vision;
  command.run.measure = !command.no_measure;
  command.options.command = card_command(command);
  command.options.version = FORETOKEN_VERSION;
  const auto type = quant::find_type_by_name(command.vision_type);
  if (!type) {
    throw RequestError(fmt::format("--mmproj-type {}: no such type; f32, f16, bf16 and q8_0 exist",
                                   command.vision_type));
  }
  command.options.vision_type = *type;
  const release::ReleasePlan plan = release::plan_release(command.options);
  if (command.dry_run) {
    if (command.json) {
      print_json(plan, plan.card, nullptr);
    } else {
      print_plan(plan);
    }
    return 0;
  }
  for (const std::string& note : plan.notes) fmt::print(stderr, "note: {}\n", note);
  const InterruptScope interrupt;
  std::optional<ProgressBar> bar;
  std::string current;
  const release::ReleaseResult result = release::run_release(
      plan, command.run, [&](const std::string& step, std::size_t done, std::size_t total) {
        if (step != current) {
          bar.reset();
          bar.emplace(step);
          current = step;
        }
        if (step == "writing" || step.starts_with("hashing") || step.starts_with("loading")) {
          bar->update_bytes(done, total);
        } else {
          bar->update(done, total, "steps");
        }
        return !interrupt.interrupted();
      });
  bar.reset();
  if (command.json) {
    print_json(plan, result.card, &result);
  } else {
    print_result(plan, result);
  }
  return 0;
}

}  // namespace

Run add_release(CLI::App& app) {
  auto command = std::make_shared<ReleaseCommand>();
  app.add_option("--base", command->options.base,
                 "folder of the base model, whose MTP head is taken (config.json, safetensors)")
      ->type_name("DIR")
      ->required();
  app.add_option("--finetune", command->options.finetune,
                 "folder of the fine-tune that lost its head")
      ->type_name("DIR")
      ->required();
  app.add_option("--out", command->options.out, "folder for the files; made when it is not there")
      ->type_name("DIR")
      ->required();
  app.add_option("--types", command->types,
                 "files to make, by type (see foretoken quantize --help)")
      ->type_name("LIST")
      ->capture_default_str();
  app.add_option("--name,--model-name", command->options.name,
                 "name of the model; without: from the fine-tune's folder and card")
      ->type_name("NAME");
  app.add_option("--imatrix", command->options.imatrix,
                 "importance matrix for the quantized files (foretoken imatrix makes one)")
      ->type_name("FILE");
  app.add_flag("--protect-mtp", command->options.protect_mtp,
               "at least 8 bits for the MTP block and the delta nets' gates");
  app.add_option("--force", command->force,
                 "doubts about the head to pass over, by topic, as foretoken graft names them")
      ->type_name("TOPIC,...");
  app.add_flag("--no-mmproj", command->no_vision, "leave out the vision file");
  app.add_option("--mmproj-type", command->vision_type, "type of the vision file")
      ->type_name("TYPE")
      ->capture_default_str();
  app.add_flag("--no-measure", command->no_measure,
               "leave out perplexity and acceptance (they need each file in memory)");
  app.add_flag("--dry-run", command->dry_run, "check and show the plan; write nothing");
  app.add_flag("--json", command->json, "plan or result as JSON");
  app.add_option("-t,--threads", command->run.n_threads, "threads; 0: one per core")
      ->check(CLI::Range(0, 1024))
      ->type_name("N");
  app.footer(
      "Reads each tensor once and writes it into every file. A run that was stopped (Ctrl-C, "
      "power,\n"
      "kill) is gone on with by the same command; files appear under their names when all are\n"
      "whole. With them come README.md, a model card with sizes, hashes and measured figures, and\n"
      "release.json, the same for scripts.\n"
      "\n"
      "Example:\n"
      "  foretoken release --base Qwen3.5-9B --finetune Paw-9B --out Paw-9B-GGUF\n"
      "  foretoken run -m Paw-9B-GGUF/Paw-9B-Q4_K_M.gguf");
  return [command] { return run_command(*command); };
}

}  // namespace foretoken::tools
