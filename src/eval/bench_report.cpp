#include "eval/bench_report.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "eval/statistics.h"

namespace foretoken::eval {
namespace {

using nlohmann::ordered_json;

Summary rates_of(const BenchResult& result) {
  std::vector<double> out;
  for (const BenchSample& sample : result.samples) out.push_back(sample.rate());
  return summarize(out);
}

Summary seconds_of(const BenchResult& result) {
  std::vector<double> out;
  for (const BenchSample& sample : result.samples) out.push_back(sample.seconds);
  return summarize(out);
}

double milliseconds_per_pass(const BenchResult& result) {
  const double rate = rates_of(result).mean;
  return rate > 0.0 ? 1e3 * result.test.n_prompt / rate : 0.0;
}

// ---- Markdown ----

std::string human_size(std::size_t n) {
  const auto value = static_cast<double>(n);
  constexpr double kMi = 1024.0 * 1024.0;
  if (value < 1024.0 * kMi) return fmt::format("{:.2f} MiB", value / kMi);
  return fmt::format("{:.2f} GiB", value / (1024.0 * kMi));
}

std::string human_count(std::size_t n) {
  const auto value = static_cast<double>(n);
  if (value < 1e9) return fmt::format("{:.2f} M", value / 1e6);
  return fmt::format("{:.2f} B", value / 1e9);
}

class Markdown : public BenchReport {
 public:
  Markdown(BenchMachine machine, const BenchColumns& columns) : machine_(std::move(machine)) {
    add("model", 32, true, [](const BenchResult& r) { return r.setup.model_type; });
    add("size", 10, false, [](const BenchResult& r) { return human_size(r.setup.size_bytes); });
    add("params", 10, false,
        [](const BenchResult& r) { return human_count(r.setup.n_parameters); });
    add("backend", 10, true, [](const BenchResult& r) { return r.setup.backend; });
    add("threads", 7, false,
        [](const BenchResult& r) { return fmt::to_string(r.setup.n_threads); });
    if (columns.batch) {
      add("n_batch", 7, false,
          [](const BenchResult& r) { return fmt::to_string(r.setup.n_batch); });
    }
    if (columns.ubatch) {
      add("n_ubatch", 8, false,
          [](const BenchResult& r) { return fmt::to_string(r.setup.n_ubatch); });
    }
    if (columns.key_type) {
      add("type_k", 6, false, [](const BenchResult& r) { return r.setup.key_type; });
    }
    if (columns.value_type) {
      add("type_v", 6, false, [](const BenchResult& r) { return r.setup.value_type; });
    }
    if (columns.drafts) add_drafts();
    add("test", columns.drafts ? 25 : 15, false,
        [](const BenchResult& r) { return r.test.name(); });
    if (columns.latency) {
      add("ms", 8, false, [](const BenchResult& r) {
        if (r.test.kind != BenchTest::Kind::Verify) return std::string();
        return fmt::format("{:.3f}", milliseconds_per_pass(r));
      });
    }
    add("t/s", 20, false, [](const BenchResult& r) {
      const Summary rates = rates_of(r);
      return fmt::format("{:.2f} ± {:.2f}", rates.mean, rates.deviation);
    });
  }

  std::string begin() override {
    std::string head = "|";
    std::string rule = "|";
    for (const Column& column : columns_) {
      head += cell(column, column.name);
      const std::string dashes(column.width - (column.left ? 0 : 1), '-');
      rule += fmt::format(" {}{} |", dashes, column.left ? "" : ":");
    }
    return head + "\n" + rule + "\n";
  }

  std::string row(const BenchResult& result) override {
    std::string out = "|";
    for (const Column& column : columns_) out += cell(column, column.value(result));
    return out + "\n";
  }

  std::string end() override {
    return fmt::format("\nbuild: {}\nprocessor: {}\n", machine_.version,
                       printable(machine_.processor));
  }

 private:
  struct Column {
    std::string name;
    std::size_t width;
    bool left;
    std::string (*value)(const BenchResult&);
  };

  void add(const char* name, std::size_t width, bool left,
           std::string (*value)(const BenchResult&)) {
    columns_.push_back({name, width, left, value});
  }

  void add_drafts() {
    add("n_max", 5, false, [](const BenchResult& r) {
      return r.test.kind == BenchTest::Kind::Speculation ? fmt::to_string(r.test.n_max) : "";
    });
    add("acc", 5, false, [](const BenchResult& r) {
      return r.drafts.drafted > 0 ? fmt::format("{:.3f}", r.drafts.acceptance()) : "";
    });
    add("len", 5, false, [](const BenchResult& r) {
      return r.drafts.rounds > 0 ? fmt::format("{:.2f}", r.drafts.mean_length()) : "";
    });
  }

  // fmt pads by characters, not bytes, so the plus-minus sign counts once. A bar would end the
  // cell.
  static std::string cell(const Column& column, std::string text) {
    text = printable(text);
    for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) {
      text.insert(at, 1, '\\');
    }
    return column.left ? fmt::format(" {:<{}} |", text, column.width)
                       : fmt::format(" {:>{}} |", text, column.width);
  }

  BenchMachine machine_;
  std::vector<Column> columns_;
};

// ---- CSV and JSON share their fields. ----

std::int64_t nanoseconds(double seconds) { return std::llround(seconds * 1e9); }

ordered_json setup_fields(const BenchMachine& machine, const BenchSetup& setup) {
  ordered_json out;
  out["build_commit"] = machine.version;
  out["cpu_info"] = machine.processor;
  out["backends"] = setup.backend;
  out["kernels"] = setup.kernels;
  out["model_filename"] = setup.model_path;
  out["model_type"] = setup.model_type;
  out["model_size"] = setup.size_bytes;
  out["model_n_params"] = setup.n_parameters;
  out["n_batch"] = setup.n_batch;
  out["n_ubatch"] = setup.n_ubatch;
  out["n_threads"] = setup.n_threads;
  out["type_k"] = setup.key_type;
  out["type_v"] = setup.value_type;
  out["n_gpu_layers"] = 0;
  return out;
}

void add_draft_fields(const BenchResult& result, ordered_json& out) {
  const bool is_draft = result.test.kind == BenchTest::Kind::Speculation;
  const BenchDrafts& drafts = result.drafts;
  out["spec_n_max"] = result.test.n_max;
  out["spec_temperature"] = result.test.temperature;
  out["spec_category"] = is_draft && result.test.category.empty() ? "all" : result.test.category;
  out["spec_synthetic"] = result.test.synthetic;
  out["spec_rounds"] = drafts.rounds;
  out["spec_drafted"] = drafts.drafted;
  out["spec_accepted"] = drafts.accepted;
  out["spec_acceptance"] = drafts.acceptance();
  out["spec_mean_length"] = drafts.mean_length();
  out["spec_draft_ns"] = nanoseconds(drafts.draft_seconds);
  out["spec_verify_ns"] = nanoseconds(drafts.verify_seconds);
}

ordered_json flat_fields(const BenchMachine& machine, const BenchResult& result) {
  const BenchTest& test = result.test;
  ordered_json out = setup_fields(machine, result.setup);
  out["test"] = test.name();
  out["n_prompt"] = test.n_prompt;
  out["n_gen"] = test.n_gen;
  out["n_depth"] = test.n_depth;
  out["test_time"] = result.time;
  const Summary seconds = seconds_of(result);
  const Summary rates = rates_of(result);
  out["avg_ns"] = nanoseconds(seconds.mean);
  out["stddev_ns"] = nanoseconds(seconds.deviation);
  out["avg_ts"] = rates.mean;
  out["stddev_ts"] = rates.deviation;
  out["median_ts"] = rates.median;
  add_draft_fields(result, out);
  return out;
}

ordered_json all_fields(const BenchMachine& machine, const BenchResult& result) {
  ordered_json out = flat_fields(machine, result);
  out["spec_drafted_at"] = result.drafts.drafted_at;
  out["spec_accepted_at"] = result.drafts.accepted_at;
  std::vector<std::int64_t> times;
  std::vector<double> rates;
  std::vector<int> tokens;
  for (const BenchSample& sample : result.samples) {
    times.push_back(nanoseconds(sample.seconds));
    rates.push_back(sample.rate());
    tokens.push_back(sample.n_tokens);
  }
  out["samples_ns"] = times;
  out["samples_ts"] = rates;
  out["samples_tokens"] = tokens;
  return out;
}

// A path need not be UTF-8; JSON has to be.
std::string dump(const ordered_json& value, int indent = -1) {
  return value.dump(indent, ' ', false, ordered_json::error_handler_t::replace);
}

class Csv : public BenchReport {
 public:
  explicit Csv(BenchMachine machine) : machine_(std::move(machine)) {}

  std::string row(const BenchResult& result) override {
    std::string names;
    std::string values;
    const ordered_json fields = flat_fields(machine_, result);
    for (const auto& [key, value] : fields.items()) {
      names += (names.empty() ? "" : ",") + key;
      values += (values.empty() ? "" : ",") +
                quote(value.is_string() ? value.get<std::string>() : value.dump());
    }
    std::string out = first_ ? names + "\n" : "";
    first_ = false;
    return out + values + "\n";
  }

 private:
  // Every value is quoted, quotes doubled: RFC 4180.
  static std::string quote(std::string text) {
    for (std::size_t at = 0; (at = text.find('"', at)) != std::string::npos; at += 2) {
      text.insert(at, 1, '"');
    }
    return "\"" + text + "\"";
  }

  BenchMachine machine_;
  bool first_ = true;
};

class Json : public BenchReport {
 public:
  explicit Json(BenchMachine machine) : machine_(std::move(machine)) {}
  std::string begin() override { return "["; }
  std::string row(const BenchResult& result) override {
    const char* before = std::exchange(first_, false) ? "\n" : ",\n";
    return before + dump(all_fields(machine_, result), 2);
  }
  std::string end() override { return "\n]\n"; }

 private:
  BenchMachine machine_;
  bool first_ = true;
};

class JsonLines : public BenchReport {
 public:
  explicit JsonLines(BenchMachine machine) : machine_(std::move(machine)) {}
  std::string row(const BenchResult& result) override {
    return dump(all_fields(machine_, result)) + "\n";
  }

 private:
  BenchMachine machine_;
};

}  // namespace

std::unique_ptr<BenchReport> make_bench_report(std::string_view format, const BenchMachine& machine,
                                               const BenchColumns& columns) {
  if (format == "md") return std::make_unique<Markdown>(machine, columns);
  if (format == "csv") return std::make_unique<Csv>(machine);
  if (format == "json") return std::make_unique<Json>(machine);
  if (format == "jsonl") return std::make_unique<JsonLines>(machine);
  if (format == "sql") {
    throw RequestError("output format 'sql' is not written here; use md, csv, json or jsonl");
  }
  throw RequestError(
      fmt::format("output format {} is unknown; use md, csv, json or jsonl", quoted(format)));
}

}  // namespace foretoken::eval
