// Tables and JSON about a quantization.
#include "quantize_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/text.h"
#include "terminal_table.h"

namespace foretoken::tools {
namespace {

using convert::PlannedTensor;
using convert::QuantizePlan;

constexpr double kMiB = 1024.0 * 1024.0;
constexpr std::size_t kNamesShown = 4;

std::string_view type_name(quant::Type type) { return quant::type_info(type).name; }

double bits_per_weight(std::size_t bytes, const QuantizePlan& plan) {
  return 8.0 * static_cast<double>(bytes) / static_cast<double>(plan.n_weights());
}

std::string size_text(std::size_t bytes, const QuantizePlan& plan) {
  const auto value = static_cast<double>(bytes);
  const std::string amount =
      value >= 1e9 ? fmt::format("{:.2f} GB", value / 1e9) : fmt::format("{:.2f} MB", value / 1e6);
  return fmt::format("{}, {:.2f} bits per weight", amount, bits_per_weight(bytes, plan));
}

// The first few of a list of names.
std::string some_of(const std::vector<std::string>& names) {
  std::string out;
  for (std::size_t i = 0; i < names.size() && i < kNamesShown; ++i) {
    out += (i > 0 ? ", " : "") + printable(names[i]);
  }
  if (names.size() > kNamesShown) out += ", ...";
  return out;
}

void print_types(const Terminal& terminal, const QuantizePlan& plan) {
  std::map<std::string_view, std::pair<std::size_t, std::size_t>> types;  // tensors, bytes
  for (const PlannedTensor& tensor : plan.tensors) {
    auto& [n, bytes] = types[type_name(tensor.choice.type)];
    ++n;
    bytes += tensor.size_bytes;
  }
  Table table(terminal, {Align::Left, Align::Right, Align::Right});
  for (const auto& [name, usage] : types) {
    table.add({std::string(name), fmt::format("{} tensors", usage.first),
               fmt::format("{:.2f} MiB", static_cast<double>(usage.second) / kMiB)});
  }
  table.print();
}

nlohmann::ordered_json tensor_json(const PlannedTensor& tensor) {
  nlohmann::ordered_json out;
  out["name"] = tensor.source->name;
  out["shape"] = tensor.source->shape;
  out["from"] = type_name(tensor.source->type);
  out["to"] = type_name(tensor.choice.type);
  out["source_bytes"] = tensor.source->source_bytes();
  out["bytes"] = tensor.size_bytes;
  out["importance"] = tensor.importance != nullptr;
  if (tensor.choice.fallback_from) {
    out["fallback_from"] = type_name(*tensor.choice.fallback_from);
  }
  return out;
}

}  // namespace

void print_tensor_table(const QuantizePlan& plan) {
  const Terminal terminal = Terminal::standard_output();
  Table table(terminal, {Align::Left, Align::Right, Align::Left, Align::Left, Align::Right});
  for (const PlannedTensor& tensor : plan.tensors) {
    std::string note = fmt::format("{:.2f} MiB", static_cast<double>(tensor.size_bytes) / kMiB);
    if (tensor.choice.fallback_from) {
      note += fmt::format(" (does not fit {})", type_name(*tensor.choice.fallback_from));
    }
    table.add({printable(tensor.source->name),
               fmt::format("{}", fmt::join(tensor.source->shape, " x ")),
               terminal.dim(type_name(tensor.source->type)),
               std::string(type_name(tensor.choice.type)), note});
  }
  table.print();
  fmt::print("\n");
}

void print_summary(const QuantizeReport& report) {
  const Terminal terminal = Terminal::standard_output();
  const QuantizePlan& plan = *report.plan;
  if (report.outputs.empty()) {
    fmt::print("{}\n", terminal.bold(fmt::format("{} as {} (nothing is written)",
                                                 printable(report.input, 4096), report.file_type)));
  } else {
    for (const std::string& path : report.outputs) {
      fmt::print("{}\n", terminal.bold(printable(path, 4096)));
    }
  }
  Table table(terminal, {Align::Left, Align::Left});
  table.add({"weights", fmt::format("{} in {} tensors", plan.n_weights(), plan.tensors.size())});
  table.add({"before", size_text(plan.source_bytes(), plan)});
  table.add({"after", size_text(plan.size_bytes(), plan)});
  if (report.file_bytes > 0) table.add({"file", fmt::format("{} bytes", report.file_bytes)});
  if (report.seconds > 0.0) {
    table.add(
        {"time", fmt::format("{:.1f} s with {} threads, {:.0f} MB of weights read a second",
                             report.seconds, report.n_threads,
                             static_cast<double>(plan.source_bytes()) / 1e6 / report.seconds)});
  }
  if (!report.imatrix.empty()) {
    table.add({"importances", fmt::format("{} entries of {}", report.n_importances,
                                          printable(report.imatrix, 4096))});
  }
  table.print();
  fmt::print("\n");
  print_types(terminal, plan);
  if (!plan.without_importance.empty()) {
    fmt::print("\n{}\n", terminal.yellow(fmt::format("no importances for {} tensors: {}",
                                                     plan.without_importance.size(),
                                                     some_of(plan.without_importance))));
  }
  if (!plan.fallbacks.empty()) {
    fmt::print("\n{}\n", terminal.yellow(fmt::format(
                             "{} tensors got another type because their rows do not fit: {}",
                             plan.fallbacks.size(), some_of(plan.fallbacks))));
  }
  const std::size_t n_shown = std::min(plan.problems.size(), kNamesShown);
  for (std::size_t i = 0; i < n_shown; ++i) {
    fmt::print("\n{}\n", terminal.red("would fail: " + plan.problems[i]));
  }
  if (plan.problems.size() > n_shown) {
    fmt::print("\n{}\n", terminal.red(fmt::format("and {} more", plan.problems.size() - n_shown)));
  }
}

void print_json(const QuantizeReport& report) {
  const QuantizePlan& plan = *report.plan;
  nlohmann::ordered_json out;
  out["input"] = report.input;
  out["outputs"] = report.outputs;
  out["file_type"] = report.file_type;
  out["n_weights"] = plan.n_weights();
  out["source_bytes"] = plan.source_bytes();
  out["tensor_bytes"] = plan.size_bytes();
  out["file_bytes"] = report.file_bytes;
  out["bits_per_weight"] = bits_per_weight(plan.size_bytes(), plan);
  out["seconds"] = report.seconds;
  out["threads"] = report.n_threads;
  out["imatrix"] = report.imatrix;
  out["imatrix_entries"] = report.n_importances;
  out["without_importance"] = plan.without_importance;
  out["fallbacks"] = plan.fallbacks;
  out["problems"] = plan.problems;
  out["tensors"] = nlohmann::ordered_json::array();
  for (const PlannedTensor& tensor : plan.tensors) out["tensors"].push_back(tensor_json(tensor));
  fmt::print("{}\n", out.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

}  // namespace foretoken::tools
