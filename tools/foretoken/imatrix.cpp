// `foretoken imatrix`: what goes into each weight matrix, for `foretoken quantize --imatrix`.
#include "eval/imatrix.h"

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "command.h"
#include "eval/imatrix_statistics.h"
#include "interrupt.h"
#include "model_options.h"
#include "progress_bar.h"
#include "terminal_table.h"
#include "token_list.h"

namespace foretoken::tools {
namespace {

constexpr int kUsualChunk = 512;

constexpr const char* kNotes =
    "  foretoken imatrix -m model-BF16.gguf -f calibration.txt -o imatrix.gguf\n"
    "  foretoken imatrix --in-file a.gguf --in-file b.gguf -o both.gguf      add up\n"
    "  foretoken imatrix --in-file imatrix.gguf --show-statistics            look\n"
    "  foretoken quantize --imatrix imatrix.gguf model-BF16.gguf Q4_K_M\n"
    "\n"
    "The text should be like what the model will be used for; 100 to 200 chunks of 512 tokens are\n"
    "usual. Entries are those of llama-imatrix, which llama-quantize reads, and the MTP block's "
    "as\n"
    "well. The file is written again every 10 chunks (-ofreq) and on Ctrl-C, each time whole.\n"
    "--output-format dat writes the form that older programs read.\n"
    "\n"
    "Exit status: 0 done, 1 the input is wrong, 2 the command line is wrong, 130 interrupted.";

struct ImatrixCommand {
  ModelOptions model;
  std::string text_file;
  std::string out_file = "imatrix.gguf";
  std::string format = "gguf";
  std::vector<std::string> in_files;
  eval::ImatrixOptions options;
  int output_frequency = 10;
  int save_frequency = 0;
  bool parse_special = false;
  bool statistics = false;
  bool json = false;

  int run();

 private:
  void check() const;
  gguf::ImatrixFile read_in_files() const;
  gguf::ImatrixFile merged(const gguf::ImatrixFile& before, const eval::InputRecorder& recorder,
                           int chunk_size) const;
  int measure(const gguf::ImatrixFile& before);
  void save(const std::string& path, const gguf::ImatrixFile& file) const;
  void report(const gguf::ImatrixFile& file, const eval::Perplexity& perplexity) const;
  void print_statistics(const gguf::ImatrixFile& file) const;
};

void ImatrixCommand::check() const {
  if (format != "gguf" && format != "dat") {
    throw RequestError(
        fmt::format("--output-format {} is unknown; use gguf or dat", quoted(format)));
  }
  if (model.context < 0) {
    throw RequestError(fmt::format("-c {} is negative; give the tokens of a chunk", model.context));
  }
  if (output_frequency < 0 || save_frequency < 0) {
    throw RequestError("-ofreq and --save-frequency count chunks; use 0 (never) or more");
  }
  if (statistics && in_files.empty()) {
    throw RequestError("--show-statistics needs a file to look at; name it with --in-file");
  }
  if (text_file.empty() && in_files.empty()) {
    throw RequestError("nothing to do: give a text with -f, or importance matrices with --in-file");
  }
  if (!text_file.empty() && !statistics && model.model.empty()) {
    throw RequestError("-f needs a model to read the text; name it with -m");
  }
}

/// All --in-file added up; without entries when there are none.
gguf::ImatrixFile ImatrixCommand::read_in_files() const {
  gguf::ImatrixFile out;
  std::vector<gguf::ImatrixFile> files;
  out.chunk_size = static_cast<std::uint32_t>(model.context);
  for (const std::string& path : in_files) {
    files.push_back(gguf::read_imatrix(path));
    if (out.chunk_size == 0) out.chunk_size = files.back().chunk_size;
  }
  if (out.chunk_size == 0) out.chunk_size = kUsualChunk;  // only files of the older form
  for (const gguf::ImatrixFile& file : files) gguf::merge_imatrix(out, file);
  return out;
}

gguf::ImatrixFile ImatrixCommand::merged(const gguf::ImatrixFile& before,
                                         const eval::InputRecorder& recorder,
                                         int chunk_size) const {
  gguf::ImatrixFile now = eval::make_imatrix(recorder, chunk_size, text_file);
  if (before.entries.empty()) return now;
  gguf::ImatrixFile out = before;
  gguf::merge_imatrix(out, now);
  return out;
}

void ImatrixCommand::save(const std::string& path, const gguf::ImatrixFile& file) const {
  if (format == "dat") {
    gguf::write_legacy_imatrix(path, file);
  } else {
    gguf::write_imatrix(path, file);
  }
}

int ImatrixCommand::measure(const gguf::ImatrixFile& before) {
  const std::string text = read_text_file(text_file);
  eval::ObservedEngine observed(
      [&](engine::WrapOps wrap) { return load_engine(model, std::move(wrap)); });
  const engine::SessionOptions session = session_options(model, observed.engine());
  options.chunk_size = static_cast<int>(before.chunk_size);
  options.n_batch = model.batch;
  options.kv_types = session.kv_types;
  const std::vector<TokenId> ids =
      observed.engine().tokenizer().encode(text, {.parse_special = parse_special});
  const InterruptScope interrupt;
  ProgressBar bar("measuring");
  const auto now = [&] { return merged(before, observed.recorder(), options.chunk_size); };
  const eval::Perplexity perplexity = eval::collect_imatrix(
      observed, ids, options, [&](int done, int total, const eval::Perplexity&) {
        bar.update(static_cast<std::size_t>(done), static_cast<std::size_t>(total), "chunks");
        if (save_frequency > 0 && done % save_frequency == 0) {
          save(fmt::format("{}.at_{}", out_file, done), now());
        }
        if (done == total) return true;
        const bool stop = interrupt.interrupted();
        const bool keep = output_frequency > 0 && (stop || done % output_frequency == 0);
        if (keep) save(out_file, now());
        if (stop && keep) {
          throw Cancelled(fmt::format("stopped after {} of {} chunks, which {} holds", done, total,
                                      printable(out_file, out_file.size())));
        }
        return !stop;
      });
  const gguf::ImatrixFile file = now();
  save(out_file, file);
  report(file, perplexity);
  return 0;
}

void ImatrixCommand::report(const gguf::ImatrixFile& file,
                            const eval::Perplexity& perplexity) const {
  if (json) {
    nlohmann::ordered_json result;
    result["file"] = printable(out_file, out_file.size());
    result["weights"] = file.entries.size();
    result["chunks"] = file.chunk_count;
    result["chunk_size"] = file.chunk_size;
    if (perplexity.n_scored > 0) {
      result["perplexity"] = perplexity.value;
      result["standard_error"] = perplexity.standard_error;
    }
    fmt::print("{}\n", result.dump());
    return;
  }
  fmt::print("{}: {} weights, {} chunks of {} tokens\n", printable(out_file, out_file.size()),
             file.entries.size(), file.chunk_count, file.chunk_size);
  if (perplexity.n_scored > 0) {
    fmt::print("perplexity {:.4f} +/- {:.4f} over {} tokens\n", perplexity.value,
               perplexity.standard_error, perplexity.n_scored);
  }
}

void ImatrixCommand::print_statistics(const gguf::ImatrixFile& file) const {
  const std::vector<eval::ImatrixStatistics> rows = eval::compute_statistics(file);
  if (json) {
    auto list = nlohmann::ordered_json::array();
    for (const eval::ImatrixStatistics& row : rows) {
      list.push_back({{"name", printable(row.name)},
                      {"layer", row.layer},
                      {"columns", row.n_columns},
                      {"total", row.total},
                      {"min", row.least},
                      {"max", row.most},
                      {"mean", row.mean},
                      {"deviation", row.deviation},
                      {"active", row.active},
                      {"entropy", row.entropy},
                      {"entropy_share", row.entropy_share},
                      {"outliers", row.outliers},
                      {"cosine_below", row.cosine_below}});
    }
    fmt::print("{}\n", list.dump());
    return;
  }
  const Terminal terminal = Terminal::standard_output();
  Table table(terminal,
              {Align::Right, Align::Left, Align::Right, Align::Right, Align::Right, Align::Right,
               Align::Right, Align::Right, Align::Right, Align::Right, Align::Right, Align::Right});
  table.add({terminal.dim("layer"), terminal.dim("tensor"), terminal.dim("total"),
             terminal.dim("min"), terminal.dim("max"), terminal.dim("mean"), terminal.dim("dev"),
             terminal.dim("active"), terminal.dim("columns"), terminal.dim("entropy"),
             terminal.dim("outliers"), terminal.dim("cosine")});
  for (const eval::ImatrixStatistics& row : rows) {
    table.add({row.layer < 0 ? "-" : fmt::format("{}", row.layer), printable(row.tensor),
               fmt::format("{:.2f}", row.total), fmt::format("{:.4f}", row.least),
               fmt::format("{:.4f}", row.most), fmt::format("{:.4f}", row.mean),
               fmt::format("{:.4f}", row.deviation), fmt::format("{:.2f} %", 100 * row.active),
               fmt::format("{}", row.n_columns),
               fmt::format("{:.2f} ({:.1f} %)", row.entropy, 100 * row.entropy_share),
               fmt::format("{:.2f} %", 100 * row.outliers),
               fmt::format("{:.4f}", row.cosine_below)});
  }
  table.print();
}

int ImatrixCommand::run() {
  check();
  gguf::ImatrixFile before = read_in_files();
  if (statistics) {
    print_statistics(before);
    return 0;
  }
  if (!text_file.empty()) return measure(before);
  save(out_file, before);
  report(before, {});
  return 0;
}

}  // namespace

Run add_imatrix(CLI::App& app) {
  auto command = std::make_shared<ImatrixCommand>();
  ImatrixCommand& c = *command;
  add_model_options(app, c.model);
  app.get_option("--model")->required(false);
  app.get_option("--ctx-size")->description("tokens of a chunk; 0: 512");
  app.add_option("-f,--file", c.text_file, "text to measure on; '-' for standard input")
      ->type_name("FILE");
  app.add_option("-o,--output,--output-file", c.out_file, "file to write")
      ->capture_default_str()
      ->type_name("FILE");
  app.add_option("--output-format", c.format, "gguf, or dat for older programs")
      ->capture_default_str()
      ->type_name("FORMAT");
  app.add_option("--chunk,--from-chunk", c.options.first_chunk, "chunks to skip at the beginning")
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--chunks", c.options.max_chunks, "most chunks to use; -1: all")
      ->capture_default_str()
      ->type_name("N");
  app.add_flag("--process-output", c.options.process_output,
               "also output.weight, which usually stays better without");
  app.add_flag("--parse-special", c.parse_special, "read control tokens in the text as such");
  app.add_option("--in-file", c.in_files, "an importance matrix to add; may be repeated")
      ->type_name("FILE")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("--output-frequency", c.output_frequency,
                 "write the file every so many chunks (-ofreq); 0: only at the end")
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--save-frequency", c.save_frequency,
                 "keep a copy FILE.at_N every so many chunks; 0: none")
      ->capture_default_str()
      ->type_name("N");
  app.add_flag_callback(
      "--no-ppl", [&c] { c.options.perplexity = false; },
      "leave out the perplexity of the text (saves time)");
  app.add_flag_callback(
      "--ppl", [&c] { c.options.perplexity = true; }, "measure it after all");
  app.add_flag("--show-statistics", c.statistics, "show what --in-file says of each weight");
  app.add_flag("--json", c.json, "results as JSON");
  app.footer(kNotes);
  return [command] { return command->run(); };
}

}  // namespace foretoken::tools
