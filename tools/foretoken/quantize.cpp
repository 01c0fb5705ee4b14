// `foretoken quantize`: a GGUF model in smaller types, with llama-quantize's command line and
// bytes.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "base/thread_pool.h"
#include "command.h"
#include "convert/gguf_model.h"
#include "convert/key_override.h"
#include "convert/quantize_plan.h"
#include "convert/write_files.h"
#include "gguf/file.h"
#include "gguf/imatrix_file.h"
#include "gguf/validate.h"
#include "interrupt.h"
#include "progress_bar.h"
#include "quant/validate.h"
#include "quantize_report.h"

namespace foretoken::tools {
namespace {

namespace fs = std::filesystem;

struct QuantizeCommand {
  std::array<std::string, 4> words;  // IN [OUT] TYPE [THREADS], as given; the rest empty
  std::string output_type;
  std::string embedding_type;
  std::vector<std::string> key_overrides;
  std::string imatrix;
  convert::ImportanceFilter filter;
  bool keep_split = false;
  bool dry_run = false;
  bool json = false;
  int threads = 0;

  // From the words, once all is parsed.
  std::string input;
  std::string output;
  std::vector<convert::KeyOverride> keys;
  convert::QuantizeOptions options;
};

/// A file type by name; COPY is one that only this command knows.
std::optional<convert::FileType> parse_file_type(const std::string& text) {
  if (text.size() == 4 && std::equal(text.begin(), text.end(), "COPY", [](char a, char b) {
        return std::toupper(static_cast<unsigned char>(a)) == b;
      })) {
    return convert::FileType{.name = "COPY"};
  }
  return convert::find_file_type(text);
}

int parse_threads(const std::string& text) {
  try {
    std::size_t used = 0;
    const int n = std::stoi(text, &used);
    if (used == text.size() && n >= 0 && n <= 1024) return n;
  } catch (const std::logic_error&) {  // not a number, or a huge one
  }
  throw RequestError(fmt::format("{} is no number of threads (0 to 1024)", quoted(text)));
}

quant::Type parse_type(const std::string& text, const char* option) {
  if (const auto type = quant::find_type_by_name(text)) return *type;
  throw RequestError(fmt::format("{} is no tensor type for {}; for example q8_0, q6_k, bf16",
                                 quoted(text), option));
}

/// The output's path when none is given: beside the input, named after the type.
std::string default_output(const QuantizeCommand& command) {
  const std::size_t slash = command.input.find_last_of('/');
  const std::string folder = slash == std::string::npos ? "" : command.input.substr(0, slash + 1);
  return fmt::format("{}ggml-model-{}.gguf", folder, command.options.file_type.name);
}

/// Sorts out the words; throws RequestError.
void parse_words(QuantizeCommand& command) {
  std::vector<std::string> words(command.words.begin(), command.words.end());
  while (!words.empty() && words.back().empty()) words.pop_back();
  if (words.size() < 2) throw RequestError("no file type is given; --help lists them");
  command.input = words[0];
  std::size_t type_at = 1;
  auto type = parse_file_type(words[type_at]);
  if (!type) {
    command.output = words[type_at++];
    if (type_at < words.size()) type = parse_file_type(words[type_at]);
  }
  if (!type) {
    throw RequestError(fmt::format("{} is no file type; --help lists them", quoted(words.back())));
  }
  command.options.file_type = *type;
  command.options.recipe.copy = type->name == "COPY";
  if (command.output.empty()) command.output = default_output(command);
  if (type_at + 1 < words.size()) {
    if (command.threads != 0) throw RequestError("the number of threads is given twice");
    command.threads = parse_threads(words[type_at + 1]);
  }
  if (type_at + 2 < words.size()) {
    throw RequestError(fmt::format("{} follows the number of threads, where nothing is expected",
                                   quoted(words[type_at + 2])));
  }
}

void parse_rest(QuantizeCommand& command) {
  convert::RecipeOptions& recipe = command.options.recipe;
  if (!command.output_type.empty()) {
    recipe.output_type = parse_type(command.output_type, "--output-tensor-type");
  }
  if (!command.embedding_type.empty()) {
    recipe.embedding_type = parse_type(command.embedding_type, "--token-embedding-type");
  }
  for (const std::string& text : command.key_overrides) {
    command.keys.push_back(convert::parse_key_override(text));
  }
}

/// Turns what is wrong with the command line into CLI11's kind of error: status 2.
template <class Body>
void as_usage(const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    throw CLI::ValidationError(error.what());
  }
}

/// Path of one of several outputs; `prefix` may end in .gguf.
std::string split_path(std::string prefix, int index, int count) {
  constexpr std::string_view kSuffix = ".gguf";
  if (prefix.ends_with(kSuffix)) prefix.resize(prefix.size() - kSuffix.size());
  return fmt::format("{}-{:05d}-of-{:05d}.gguf", prefix, index + 1, count);
}

std::vector<convert::FileTarget> make_targets(const QuantizeCommand& command,
                                              const gguf::File& file, const gguf::Writer& keys,
                                              const convert::QuantizePlan& plan) {
  int count = 1;
  if (command.keep_split) {
    for (const gguf::TensorInfo& tensor : file.tensors()) {
      count = std::max(count, tensor.file_index + 1);
    }
  }
  std::vector<convert::FileTarget> out(static_cast<std::size_t>(count));
  out.front().keys = keys;
  for (int i = 0; i < count; ++i) {
    convert::FileTarget& target = out[static_cast<std::size_t>(i)];
    target.path = command.keep_split ? split_path(command.output, i, count) : command.output;
    if (count == 1) continue;
    target.keys.set_u16("split.no", static_cast<std::uint16_t>(i));
    target.keys.set_u16("split.count", static_cast<std::uint16_t>(count));
    target.keys.set_i32("split.tensors.count", static_cast<std::int32_t>(plan.tensors.size()));
  }
  for (std::size_t i = 0; i < plan.tensors.size(); ++i) {
    const convert::PlannedTensor& tensor = plan.tensors[i];
    // With --keep-split the plan is in the file's own order.
    const int part = count == 1 ? 0 : file.tensors()[i].file_index;
    out[static_cast<std::size_t>(part)].tensors.push_back(
        {tensor.source, tensor.choice.type,
         tensor.importance != nullptr ? *tensor.importance : std::vector<float>()});
  }
  return out;
}

void refuse_own_input(const gguf::File& file, const std::vector<convert::FileTarget>& targets) {
  for (const convert::FileTarget& target : targets) {
    for (int i = 0; i < file.n_files(); ++i) {
      std::error_code absent;  // usually the output is not there yet
      if (!fs::equivalent(file.path(i), target.path, absent)) continue;
      throw RequestError(fmt::format(
          "{}: this is the input itself; name another file for the output", target.path));
    }
  }
}

/// Whether all scales and numbers of a tensor are finite. Looks at a few megabytes at a time and
/// gives their pages back, so that a table of gigabytes costs no memory.
bool is_finite(const gguf::File& file, const gguf::TensorInfo& tensor, ThreadPool& pool) {
  constexpr std::size_t kPieceBytes = std::size_t{1} << 20;
  constexpr std::size_t kPiecesPerBatch = 64;
  const auto block = static_cast<std::size_t>(quant::type_info(tensor.type).block_bytes);
  const std::size_t piece = kPieceBytes / block * block;
  const std::span<const std::byte> bytes = file.data(tensor);
  std::atomic<bool> bad = false;
  for (std::size_t begin = 0; begin < bytes.size() && !bad; begin += kPiecesPerBatch * piece) {
    const auto batch =
        bytes.subspan(begin, std::min(kPiecesPerBatch * piece, bytes.size() - begin));
    const auto n_pieces = static_cast<int>((batch.size() + piece - 1) / piece);
    pool.parallel_for(n_pieces, 1, [&](int first, int last, int) {
      for (int i = first; i < last; ++i) {
        const std::size_t offset = static_cast<std::size_t>(i) * piece;
        const auto part = batch.subspan(offset, std::min(piece, batch.size() - offset));
        if (quant::find_invalid_block(tensor.type, part)) bad = true;
      }
    });
    file.drop_pages(tensor);
  }
  return !bad;
}

/// Tensors that keep their bytes are not decoded on the way, so their numbers are looked at here.
void check_copied(const gguf::File& file, const convert::QuantizePlan& plan, ThreadPool& pool) {
  for (const convert::PlannedTensor& planned : plan.tensors) {
    if (planned.changes()) continue;
    const gguf::TensorInfo& tensor = file.require_tensor(planned.source->name);
    if (is_finite(file, tensor, pool)) continue;
    throw FormatError(gguf::describe(file, tensor, gguf::find_invalid_scale(file, tensor).value()));
  }
}

double write_all(const std::vector<convert::FileTarget>& targets, ThreadPool& pool) {
  const auto start = std::chrono::steady_clock::now();
  const InterruptScope interrupt;
  ProgressBar bar("quantizing");
  convert::write_files(targets, pool, [&](std::size_t done, std::size_t total) {
    bar.update_bytes(done, total);
    return !interrupt.interrupted();
  });
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void report(const QuantizeCommand& command, const QuantizeReport& result) {
  if (command.json) {
    print_json(result);
    return;
  }
  if (command.dry_run) print_tensor_table(*result.plan);
  print_summary(result);
}

/// Reads the importance matrix, if one is wanted, into the options and the keys.
void load_importances(QuantizeCommand& command, gguf::Writer& keys) {
  if (command.imatrix.empty()) return;
  const gguf::ImatrixFile imatrix = gguf::read_imatrix(command.imatrix);
  convert::Importances& importances = command.options.importances;
  importances = convert::make_importances(imatrix, command.filter);
  if (importances.empty()) return;  // all were filtered out: as if there was none
  convert::set_importance_keys(keys, command.imatrix, imatrix, importances.size());
}

/// The model with the keys that the new file is to have.
convert::ModelSource open_model(QuantizeCommand& command,
                                const std::shared_ptr<const gguf::File>& file) {
  convert::ModelSource model = convert::open_gguf_model(
      file, command.keep_split ? convert::TensorOrder::AsInFile : convert::TensorOrder::ByLayer);
  if (model.tensors.empty()) {
    throw FormatError(command.input +
                      ": there are no tensors in this file, so nothing to quantize");
  }
  convert::FileType& file_type = command.options.file_type;
  if (command.options.recipe.copy) file_type.id = convert::file_type_of(*file);
  convert::set_quantization_keys(model.keys, file_type.id);
  for (const convert::KeyOverride& key : command.keys) convert::apply(key, model.keys);
  load_importances(command, model.keys);
  return model;
}

void refuse_problems(const std::string& input, const std::vector<std::string>& problems) {
  if (problems.empty()) return;
  const std::string more =
      problems.size() > 1 ? fmt::format(" (and {} more)", problems.size() - 1) : "";
  throw UnsupportedError(fmt::format("{}: {}{}", input, problems.front(), more));
}

int quantize(QuantizeCommand& command) {
  const auto file = std::make_shared<const gguf::File>(gguf::File::open(command.input));
  const convert::ModelSource model = open_model(command, file);
  const convert::ModelFacts facts = convert::read_model_facts(model.keys, command.input);
  const convert::QuantizePlan plan = convert::plan_quantization(model, facts, command.options);
  QuantizeReport result{.input = command.input,
                        .outputs = {},
                        .file_type = std::string(command.options.file_type.name),
                        .imatrix = command.imatrix,
                        .n_importances = command.options.importances.size(),
                        .plan = &plan};
  if (!command.dry_run) refuse_problems(command.input, plan.problems);
  if (!plan.problems.empty()) {  // a dry run shows them
    report(command, result);
    return 0;
  }
  const std::vector<convert::FileTarget> targets = make_targets(command, *file, model.keys, plan);
  for (const convert::FileTarget& target : targets) result.file_bytes += file_size(target);
  if (!command.dry_run) {
    refuse_own_input(*file, targets);
    const auto n_cores = static_cast<int>(std::thread::hardware_concurrency());
    result.n_threads = command.threads > 0 ? command.threads : std::max(1, n_cores);
    ThreadPool pool(result.n_threads);
    check_copied(*file, plan, pool);
    for (const convert::FileTarget& target : targets) result.outputs.push_back(target.path);
    result.seconds = write_all(targets, pool);
  }
  report(command, result);
  return 0;
}

std::string help_footer() {
  std::string out = "File types, largest first:\n";
  for (const convert::FileType& type : convert::file_types()) {
    out += fmt::format("  {:<10} {:>3}  {}\n", type.name, type.id, type.note);
  }
  out += fmt::format("  {:<10} {:>3}  {}\n", "COPY", "",
                     "every tensor as it is; joins split files, changes keys");
  out +=
      "\nExamples:\n"
      "  foretoken quantize paw-BF16.gguf paw-Q4_K_M.gguf Q4_K_M\n"
      "  foretoken quantize --dry-run paw-BF16.gguf Q6_K            types and size, nothing "
      "written\n"
      "  foretoken quantize --imatrix paw.imatrix.gguf paw-BF16.gguf paw-IQ4_XS.gguf IQ4_XS\n"
      "  foretoken quantize --tensor-type 'ffn_down=q8_0' paw-BF16.gguf paw.gguf Q5_K_M\n"
      "\nThe file is llama-quantize's, byte for byte, unless --protect-mtp or --stable-mixture is "
      "given.";
  return out;
}

void add_type_options(CLI::App& app, QuantizeCommand& command) {
  convert::RecipeOptions& recipe = command.options.recipe;
  app.add_flag("--pure", recipe.pure, "no mixture: every matrix gets the file type's own type");
  app.add_flag("--leave-output-tensor", recipe.leave_output, "output.weight stays as it is");
  app.add_option("--output-tensor-type", command.output_type, "type of output.weight")
      ->type_name("TYPE");
  app.add_option("--token-embedding-type", command.embedding_type, "type of token_embd.weight")
      ->type_name("TYPE");
  // Both kinds in the order of the command line: the first pattern that matches decides.
  app.add_option_function<std::string>(
         "--tensor-type",
         [&recipe](const std::string& text) { as_usage([&] { recipe.overrides.add(text); }); },
         "type of all tensors whose name the regular expression matches; may be repeated, the "
         "first match counts. Ignored by F32, F16 and BF16")
      ->type_name("PATTERN=TYPE")
      ->trigger_on_parse();
  app.add_option_function<std::string>(
         "--tensor-type-file",
         [&recipe](const std::string& path) { as_usage([&] { recipe.overrides.add_file(path); }); },
         "a file of PATTERN=TYPE separated by spaces or line breaks")
      ->type_name("FILE")
      ->trigger_on_parse();
  app.add_flag("--stable-mixture", recipe.stable_mixture,
               "a --tensor-type does not shift the types of later layers (llama-quantize's does)");
  app.add_flag("--protect-mtp", recipe.protect_mtp,
               "at least 8 bits for the MTP block and for ssm_alpha and ssm_beta: a little larger, "
               "and drafts are accepted more often");
  app.add_flag("--allow-requantize", command.options.allow_requantize,
               "also change tensors that are quantized already; loses quality twice");
}

void add_imatrix_options(CLI::App& app, QuantizeCommand& command) {
  app.add_option("--imatrix", command.imatrix,
                 "importance matrix, as `foretoken imatrix` or llama-imatrix makes it")
      ->type_name("FILE");
  auto* include = app.add_option("--include-weights", command.filter.include,
                                 "use only its entries whose name contains this; may be repeated");
  include->type_name("NAME")->allow_extra_args(false);
  app.add_option("--exclude-weights", command.filter.exclude,
                 "use none of its entries whose name contains this; may be repeated")
      ->type_name("NAME")
      ->allow_extra_args(false)
      ->excludes(include);
}

void add_file_options(CLI::App& app, QuantizeCommand& command) {
  app.add_flag("--keep-split", command.keep_split,
               "as many files as the input has; OUT is the beginning of their names");
  app.add_option(
         "--override-kv", command.key_overrides,
         "set a key of the new file: KEY=int:12, =float:0.5, =bool:true or =str:text; may be "
         "repeated")
      ->type_name("KEY=...")
      ->allow_extra_args(false);
  app.add_flag("--dry-run", command.dry_run, "show types and sizes; read and write no weights");
  app.add_flag("--json", command.json, "print one JSON document instead of tables");
  app.add_option("-t,--threads", command.threads, "threads (0: all cores)")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  app.add_option("--max-buffer-size", "accepted for llama-quantize's sake; memory is always small")
      ->type_name("MIB");
  app.add_option_function<std::string>(
         "--prune-layers",
         [](const std::string&) {
           throw CLI::ValidationError(
               "--prune-layers: removing layers breaks the order of delta net and attention layers "
               "that Qwen3.5 depends on, and the number of its MTP block");
         },
         "refused: Qwen3.5 depends on the order of its layers")
      ->type_name("LIST");
}

}  // namespace

Run add_quantize(CLI::App& app) {
  const auto command = std::make_shared<QuantizeCommand>();
  app.add_option("IN", command->words[0], "the model to quantize; of a split one, its first file")
      ->required();
  app.add_option("OUT", command->words[1],
                 "the file to make; may be left out: ggml-model-TYPE.gguf beside IN");
  app.add_option("TYPE", command->words[2], "a file type from the list below, by name or number");
  app.add_option("THREADS", command->words[3], "as -t");
  add_type_options(app, *command);
  add_imatrix_options(app, *command);
  add_file_options(app, *command);
  app.footer(help_footer());
  app.callback([command] {
    as_usage([&] {
      parse_words(*command);
      parse_rest(*command);
    });
  });
  return [command] { return quantize(*command); };
}

}  // namespace foretoken::tools
