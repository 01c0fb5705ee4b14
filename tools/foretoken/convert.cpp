// `foretoken convert`: a Hugging Face checkpoint to a GGUF file, with the options of llama.cpp's
// convert_hf_to_gguf.py and, byte for byte, its files.
#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "base/thread_pool.h"
#include "command.h"
#include "convert/float_types.h"
#include "convert/hf_model.h"
#include "convert/split_files.h"
#include "convert/write_files.h"
#include "interrupt.h"
#include "progress_bar.h"

namespace foretoken::tools {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

struct ConvertCommand {
  std::string folder;
  std::string outfile;
  std::string outtype = "auto";
  std::string model_name;
  std::string metadata;
  bool mmproj = false;
  bool mtp = false;
  bool no_mtp = false;
  bool vocab_only = false;
  bool dry_run = false;
  bool json = false;
  int threads = 0;
  convert::SplitLimits limits;
};

/// "2G", "500M", "10K" or plain bytes, in powers of 1000 as llama.cpp counts.
std::size_t parse_size(const std::string& text) {
  static const std::map<char, std::size_t> units{
      {'K', 1'000}, {'M', 1'000'000}, {'G', 1'000'000'000}};
  std::string digits = text;
  std::size_t unit = 1;
  if (!digits.empty() && units.contains(digits.back())) {
    unit = units.at(digits.back());
    digits.pop_back();
  }
  const bool plain = !digits.empty() && digits.size() <= 9 &&
                     digits.find_first_not_of("0123456789") == std::string::npos;
  if (!plain) {
    throw CLI::ValidationError(
        fmt::format("{} is no size; for example 2G, 500M or a number of bytes", quoted(text)));
  }
  return std::stoul(digits) * unit;
}

convert::HfOutput output_of(const ConvertCommand& command) {
  if (command.mmproj) return convert::HfOutput::Vision;
  if (command.vocab_only) return convert::HfOutput::Vocabulary;
  if (command.mtp) return convert::HfOutput::MtpHead;
  return command.no_mtp ? convert::HfOutput::WithoutMtp : convert::HfOutput::Model;
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != std::string::npos;
       at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

/// Where the file goes: the given path with its {ftype} filled in, or a name by convention in the
/// given folder, which is the checkpoint's when none is given.
std::string output_path(const ConvertCommand& command, const convert::HfModel& model) {
  const std::string place = command.outfile.empty() ? command.folder : command.outfile;
  if (fs::is_directory(place)) return (fs::path(place) / model.file_name).string();
  std::string upper(quant::type_info(model.type).name);
  std::string lower = upper;
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  fs::path path(place);
  std::string name = path.filename().string();
  for (const char* field : {"{ftype}", "{outtype}", "{}"}) replace_all(name, field, lower);
  for (const char* field : {"{FTYPE}", "{OUTTYPE}"}) replace_all(name, field, upper);
  return (path.parent_path() / name).string();
}

/// What is reported, for people and for scripts.
struct ConvertReport {
  const convert::HfModel* model = nullptr;
  std::vector<convert::FileTarget> files;
  std::size_t n_bytes = 0;
  double seconds = 0.0;
};

std::string human_bytes(std::size_t n) {
  const auto value = static_cast<double>(n);
  if (n < 1'000'000) return fmt::format("{:.1f} kB", value / 1e3);
  if (n < 1'000'000'000) return fmt::format("{:.1f} MB", value / 1e6);
  return fmt::format("{:.2f} GB", value / 1e9);
}

std::string shape_text(const std::vector<std::size_t>& shape) {
  std::string out;
  for (const std::size_t n : shape) out += (out.empty() ? "" : " x ") + std::to_string(n);
  return out;
}

void print_tensors(const ConvertReport& report) {
  for (const convert::FileTarget& file : report.files) {
    for (const convert::TensorTarget& tensor : file.tensors) {
      fmt::print("{:<40} {:>4} -> {:<4}  {}\n", tensor.source->name,
                 quant::type_info(tensor.source->type).name, quant::type_info(tensor.type).name,
                 shape_text(tensor.source->shape));
    }
  }
}

void print_json(const ConvertCommand& command, const ConvertReport& report) {
  ordered_json out;
  out["source"] = command.folder;
  out["type"] = quant::type_info(report.model->type).name;
  out["dry_run"] = command.dry_run;
  out["mtp_layers"] = report.model->config.n_mtp_layers;
  out["weights"] = report.model->n_params;
  out["bytes"] = report.n_bytes;
  if (!command.dry_run) out["seconds"] = report.seconds;
  out["files"] = ordered_json::array();
  for (const convert::FileTarget& file : report.files) {
    ordered_json tensors = ordered_json::array();
    for (const convert::TensorTarget& tensor : file.tensors) {
      tensors.push_back({{"name", tensor.source->name},
                         {"shape", tensor.source->shape},
                         {"from", quant::type_info(tensor.source->type).name},
                         {"to", quant::type_info(tensor.type).name}});
    }
    out["files"].push_back(
        {{"path", file.path}, {"bytes", convert::file_size(file)}, {"tensors", tensors}});
  }
  fmt::print("{}\n", out.dump(2, ' ', false, ordered_json::error_handler_t::replace));
}

void print_summary(const ConvertCommand& command, const ConvertReport& report) {
  std::size_t n_tensors = 0;
  for (const convert::FileTarget& file : report.files) n_tensors += file.tensors.size();
  for (const convert::FileTarget& file : report.files) {
    fmt::print("{}\n", printable(file.path, 4096));
  }
  std::string what = std::string(quant::type_info(report.model->type).name);
  if (output_of(command) == convert::HfOutput::Model) {
    what += report.model->config.n_mtp_layers > 0 ? ", with its MTP head" : ", no MTP head";
  }
  fmt::print("{} tensors, {} as {}", n_tensors, human_bytes(report.n_bytes), what);
  if (command.dry_run) {
    fmt::print("; nothing was written\n");
  } else {
    fmt::print(", in {:.1f} s ({:.2f} GB/s)\n", report.seconds,
               static_cast<double>(report.n_bytes) / 1e9 / std::max(report.seconds, 1e-3));
  }
}

void write(const ConvertCommand& command, ConvertReport& report) {
  const int n_threads = command.threads > 0
                            ? command.threads
                            : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  ThreadPool pool(n_threads);
  const InterruptScope interrupt;
  ProgressBar bar("converting");
  const auto start = std::chrono::steady_clock::now();
  convert::write_files(report.files, pool, [&](std::size_t done, std::size_t total) {
    bar.update_bytes(done, total);
    return !interrupt.interrupted();
  });
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

int convert_checkpoint(const ConvertCommand& command) {
  convert::HfModelOptions options;
  options.output = output_of(command);
  options.type = convert::find_out_type(command.outtype);  // nothing for "auto"
  if (!command.model_name.empty()) options.model_name = command.model_name;
  if (!command.metadata.empty()) options.override_file = command.metadata;
  const convert::HfModel model = convert::open_hf_model(command.folder, options);
  ConvertReport report;
  report.model = &model;
  report.files =
      convert::split_target(model.file_target(output_path(command, model)), command.limits);
  for (const auto& file : report.files) report.n_bytes += convert::file_size(file);
  if (!command.dry_run) write(command, report);
  if (command.json) {
    print_json(command, report);
    return 0;
  }
  if (command.dry_run) print_tensors(report);
  print_summary(command, report);
  return 0;
}

void add_output_options(CLI::App& app, ConvertCommand& command) {
  app.add_option("--outfile", command.outfile,
                 "file to write, or a folder for a file named after the model. {ftype} in the name "
                 "becomes the type. Default: in the checkpoint's own folder")
      ->type_name("FILE");
  app.add_option("--outtype", command.outtype,
                 "type of the weight matrices: f32, f16, bf16, q8_0, or auto: the 16-bit type that "
                 "the checkpoint has. Norms and vectors are always f32")
      ->check(CLI::IsMember({"f32", "f16", "bf16", "q8_0", "auto"}, CLI::ignore_case))
      ->type_name("TYPE")
      ->capture_default_str();
  app.add_option_function<std::string>(
         "--split-max-size",
         [&command](const std::string& text) { command.limits.max_bytes = parse_size(text); },
         "several files of at most this much, as 2G or 500M")
      ->type_name("SIZE");
  app.add_option("--split-max-tensors", command.limits.max_tensors,
                 "several files of at most so many tensors")
      ->type_name("N");
  app.add_flag("--no-tensor-first-split", command.limits.keys_alone,
               "the first of several files holds the keys alone");
}

void add_part_options(CLI::App& app, ConvertCommand& command) {
  CLI::Option* mmproj = app.add_flag("--mmproj", command.mmproj,
                                     "write the image tower (a vision file for --mmproj) instead");
  CLI::Option* mtp = app.add_flag("--mtp", command.mtp,
                                  "write the MTP head alone, with the embedding and output it "
                                  "needs: a draft model for llama.cpp");
  CLI::Option* no_mtp =
      app.add_flag("--no-mtp,--no-nextn", command.no_mtp,
                   "leave the MTP head out; needed for a checkpoint whose head was lost");
  CLI::Option* vocab =
      app.add_flag("--vocab-only", command.vocab_only, "write the keys, tokenizer included, alone");
  mmproj->excludes(mtp)->excludes(no_mtp)->excludes(vocab);
  mtp->excludes(no_mtp)->excludes(vocab);
}

}  // namespace

Run add_convert(CLI::App& app) {
  const auto command = std::make_shared<ConvertCommand>();
  app.add_option("folder", command->folder,
                 "checkpoint folder: config.json, model*.safetensors and the tokenizer files")
      ->required();
  add_output_options(app, *command);
  add_part_options(app, *command);
  app.add_option("--model-name", command->model_name, "the model's name (general.name)")
      ->type_name("NAME");
  app.add_option("--metadata", command->metadata,
                 "JSON object of general.* keys that go before what the model card and names say")
      ->type_name("FILE");
  app.add_flag("--dry-run", command->dry_run,
               "check everything and show what would be written, but write nothing");
  app.add_flag("--json", command->json, "print the result as JSON");
  app.add_option("-t,--threads", command->threads, "threads; 0: one a processor")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  app.footer(
      "Examples:\n"
      "  foretoken convert ./Paw-9B --outfile paw-{ftype}.gguf      BF16 stays BF16, bit for bit\n"
      "  foretoken convert ./Paw-9B --outtype q8_0 --outfile paw.gguf\n"
      "  foretoken convert ./Paw-9B --no-mtp                        a model without its MTP head\n"
      "  foretoken convert ./Paw-9B --mmproj                        the vision file\n"
      "\nEvery tensor is checked against config.json before a byte is written, and the file "
      "appears "
      "whole or not at all. It equals convert_hf_to_gguf.py's (docs/convert.md lists the "
      "exceptions). A fine-tune that lost its MTP head gets it back with 'foretoken graft'.");
  return [command] { return convert_checkpoint(*command); };
}

}  // namespace foretoken::tools
