// `foretoken inspect`: what is in a GGUF file, what kind of file it is, whether its MTP head is
// whole, and, with --check, whether its numbers are finite.
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "command.h"
#include "gguf/file.h"
#include "gguf/validate.h"
#include "model/file_summary.h"
#include "terminal_table.h"

namespace foretoken::tools {
namespace {

using nlohmann::ordered_json;

struct InspectOptions {
  std::string path;
  bool json = false;
  bool check = false;
  bool lenient = false;
  std::size_t n_values = 5;
};

/// Result of --check: the tensors with bad numbers.
struct CheckResult {
  bool done = false;
  std::vector<std::string> findings;
};

// Decimal units, as download pages show them.
std::string human_bytes(std::size_t n) {
  const auto value = static_cast<double>(n);
  if (n < 1000) return fmt::format("{} B", n);
  if (n < 1'000'000) return fmt::format("{:.1f} kB", value / 1e3);
  if (n < 1'000'000'000) return fmt::format("{:.2f} MB", value / 1e6);
  return fmt::format("{:.2f} GB", value / 1e9);
}

std::string human_count(std::size_t n) {
  const auto value = static_cast<double>(n);
  if (n < 10'000) return fmt::format("{}", n);
  if (n < 1'000'000) return fmt::format("{:.1f} K", value / 1e3);
  if (n < 1'000'000'000) return fmt::format("{:.2f} M", value / 1e6);
  return fmt::format("{:.2f} B", value / 1e9);
}

std::string shape_text(const std::vector<std::size_t>& shape) {
  return fmt::format("{}", fmt::join(shape, " x "));
}

std::string mtp_text(const model::MtpSummary& mtp) {
  if (mtp.announced == 0) return "none";
  if (mtp.complete()) return fmt::format("complete ({} of {} tensors)", mtp.present, mtp.expected);
  return fmt::format("incomplete ({} of {} tensors)", mtp.present, mtp.expected);
}

void print_overview(const Terminal& terminal, const gguf::File& file,
                    const model::FileSummary& summary) {
  fmt::print("{}\n", terminal.bold(printable(file.path(), 4096)));
  Table table(terminal, {Align::Left, Align::Left});
  const auto row = [&table](std::string_view label, const std::string& value) {
    if (!value.empty()) table.add({std::string(label), value});
  };
  std::string what(model::file_kind_name(summary.kind));
  if (summary.kind == model::FileKind::OtherModel && !summary.architecture.empty()) {
    what += fmt::format(" ({})", printable(summary.architecture));
  }
  row("kind", what);
  row("name", printable(summary.name));
  row("size", summary.size);
  row("quantized as", summary.file_type);
  row("file", fmt::format("{}{}, GGUF v{}, {} tensors, {} keys", human_bytes(file.file_bytes()),
                          file.n_files() > 1 ? fmt::format(" in {} files", file.n_files()) : "",
                          file.version(), file.tensors().size(), file.metadata().entries().size()));
  if (!file.tensors().empty()) {
    row("weights", fmt::format("{} in {}, {:.2f} bits each", human_count(summary.n_elements),
                               human_bytes(summary.size_bytes), summary.bits_per_weight()));
  }
  if (summary.architecture == "qwen35" && !file.tensors().empty()) {
    row("MTP head", mtp_text(summary.mtp));
  }
  table.print();
  for (const std::string& name : summary.mtp.missing) {
    fmt::print("  {}\n", terminal.red("missing: " + name));
  }
}

void print_metadata(const Terminal& terminal, const gguf::File& file, std::size_t n_values) {
  fmt::print("\n{}\n", terminal.bold("Metadata"));
  Table table(terminal, {Align::Left, Align::Left, Align::Left});
  for (const gguf::Entry& entry : file.metadata().entries()) {
    std::string type(gguf::value_type_name(entry.element_type));
    if (entry.type == gguf::ValueType::Array) type += fmt::format("[{}]", entry.count);
    table.add({printable(entry.key), terminal.dim(type), entry.to_text(n_values)});
  }
  table.print();
}

void print_tensors(const Terminal& terminal, const gguf::File& file) {
  if (file.tensors().empty()) return;
  fmt::print("\n{}\n", terminal.bold("Tensors"));
  Table table(terminal, {Align::Left, Align::Left, Align::Left, Align::Right});
  for (const gguf::TensorInfo& tensor : file.tensors()) {
    table.add({printable(tensor.name), std::string(quant::type_info(tensor.type).name),
               shape_text(tensor.shape), terminal.dim(human_bytes(tensor.size_bytes))});
  }
  table.print();
}

void print_types(const Terminal& terminal, const model::FileSummary& summary) {
  if (summary.types.empty()) return;
  fmt::print("\n{}\n", terminal.bold("Types"));
  Table table(terminal, {Align::Left, Align::Right, Align::Right, Align::Right, Align::Right});
  for (const model::TypeUsage& usage : summary.types) {
    const double share =
        100.0 * static_cast<double>(usage.size_bytes) / static_cast<double>(summary.size_bytes);
    table.add({std::string(quant::type_info(usage.type).name),
               fmt::format("{} tensors", usage.n_tensors),
               fmt::format("{} weights", human_count(usage.n_elements)),
               human_bytes(usage.size_bytes), fmt::format("{:.1f} %", share)});
  }
  table.print();
}

void print_notes(const Terminal& terminal, const gguf::File& file,
                 const model::FileSummary& summary, const CheckResult& check) {
  if (!file.warnings().empty() || summary.problem) fmt::print("\n{}\n", terminal.bold("Notes"));
  for (const std::string& warning : file.warnings()) {
    fmt::print("  {}\n", terminal.yellow(warning));
  }
  if (summary.problem) {
    fmt::print("  {}\n", terminal.red("cannot be run: " + *summary.problem));
  }
  if (!check.done) return;
  fmt::print("\n{}\n", terminal.bold("Check"));
  for (const std::string& finding : check.findings) fmt::print("  {}\n", terminal.red(finding));
  if (check.findings.empty()) {
    fmt::print("  {}\n", terminal.green(fmt::format("the scales and numbers of all {} tensors are "
                                                    "finite",
                                                    file.tensors().size())));
  }
}

// A scalar as JSON has it; infinities and NaN, which JSON lacks, as text.
ordered_json scalar_json(const std::string& text) {
  ordered_json value = ordered_json::parse(text, nullptr, false);
  return value.is_discarded() ? ordered_json(text) : value;
}

ordered_json value_json(const gguf::Metadata& metadata, const gguf::Entry& entry,
                        std::size_t n_values) {
  if (entry.type == gguf::ValueType::String) return metadata.require_string(entry.key);
  if (entry.type != gguf::ValueType::Array) return scalar_json(entry.to_text());
  ordered_json out = ordered_json::array();
  const std::size_t n = std::min(entry.count, n_values);
  if (entry.element_type == gguf::ValueType::String) {
    const auto strings = metadata.find_string_array(entry.key).value();
    for (std::size_t i = 0; i < n; ++i) out.push_back(strings[i]);
    return out;
  }
  for (std::size_t i = 0; i < n; ++i) out.push_back(scalar_json(entry.element_text(i)));
  return out;
}

ordered_json to_json(const gguf::File& file, const model::FileSummary& summary,
                     const CheckResult& check, std::size_t n_values) {
  ordered_json out;
  out["path"] = file.path();
  out["kind"] = model::file_kind_name(summary.kind);
  out["architecture"] = summary.architecture;
  out["name"] = summary.name;
  out["size"] = summary.size;
  out["file_type"] = summary.file_type;
  out["gguf_version"] = file.version();
  out["alignment"] = file.alignment();
  out["n_files"] = file.n_files();
  out["file_bytes"] = file.file_bytes();
  out["n_weights"] = summary.n_elements;
  out["weight_bytes"] = summary.size_bytes;
  out["bits_per_weight"] = summary.bits_per_weight();
  out["mtp"] = {{"announced_layers", summary.mtp.announced},
                {"complete", summary.mtp.complete()},
                {"expected", summary.mtp.expected},
                {"present", summary.mtp.present},
                {"missing", summary.mtp.missing}};
  out["types"] = ordered_json::array();
  for (const model::TypeUsage& usage : summary.types) {
    out["types"].push_back({{"type", quant::type_info(usage.type).name},
                            {"tensors", usage.n_tensors},
                            {"weights", usage.n_elements},
                            {"bytes", usage.size_bytes}});
  }
  out["metadata"] = ordered_json::array();
  for (const gguf::Entry& entry : file.metadata().entries()) {
    out["metadata"].push_back({{"key", entry.key},
                               {"type", entry.type_text()},
                               {"count", entry.count},
                               {"value", value_json(file.metadata(), entry, n_values)}});
  }
  out["tensors"] = ordered_json::array();
  for (const gguf::TensorInfo& tensor : file.tensors()) {
    out["tensors"].push_back({{"name", tensor.name},
                              {"type", quant::type_info(tensor.type).name},
                              {"shape", tensor.shape},
                              {"bytes", tensor.size_bytes},
                              {"file", tensor.file_index},
                              {"offset", tensor.offset}});
  }
  out["warnings"] = std::vector<std::string>(file.warnings().begin(), file.warnings().end());
  out["problem"] = summary.problem ? ordered_json(*summary.problem) : ordered_json(nullptr);
  if (check.done) out["check"] = {{"ok", check.findings.empty()}, {"findings", check.findings}};
  return out;
}

CheckResult check_numbers(const gguf::File& file) {
  CheckResult result{.done = true, .findings = {}};
  for (const gguf::TensorInfo& tensor : file.tensors()) {
    if (const auto found = gguf::find_invalid_scale(file, tensor)) {
      result.findings.push_back(gguf::describe(file, tensor, *found));
    }
    file.drop_pages(tensor);
  }
  return result;
}

int inspect(const InspectOptions& options) {
  const gguf::File file = gguf::File::open(options.path, {.lenient = options.lenient});
  const model::FileSummary summary = model::summarize(file);
  const CheckResult check = options.check ? check_numbers(file) : CheckResult{};
  if (options.json) {
    fmt::print("{}\n", to_json(file, summary, check, options.n_values)
                           .dump(2, ' ', false, ordered_json::error_handler_t::replace));
  } else {
    const Terminal terminal = Terminal::standard_output();
    print_overview(terminal, file, summary);
    print_metadata(terminal, file, options.n_values);
    print_tensors(terminal, file);
    print_types(terminal, summary);
    print_notes(terminal, file, summary, check);
  }
  if (!options.check) return 0;
  std::fflush(stdout);
  if (!check.findings.empty()) {
    throw FormatError(fmt::format(
        "{}{}", check.findings.front(),
        check.findings.size() > 1 ? fmt::format(" (and {} more tensors)", check.findings.size() - 1)
                                  : ""));
  }
  if (summary.problem) throw FormatError(*summary.problem);
  return 0;
}

}  // namespace

Run add_inspect(CLI::App& app) {
  const auto options = std::make_shared<InspectOptions>();
  app.add_option("file", options->path, "GGUF file; of a split model, its first file")->required();
  app.add_flag("--json", options->json, "print one JSON document instead of tables");
  app.add_flag("--check", options->check,
               "read every tensor and look for infinite or NaN scales; status 1 if there are any, "
               "or if a Qwen3.5 text model is not complete");
  app.add_flag("--lenient", options->lenient,
               "also show files whose tensors have gaps between them or are out of order");
  app.add_option("--values", options->n_values,
                 "elements of an array to show (of a string, 16 bytes each)")
      ->check(CLI::Range(0, 1'000'000'000))
      ->capture_default_str();
  return [options] { return inspect(*options); };
}

}  // namespace foretoken::tools
