// Spellings and defaults: llama.cpp, tools/llama-bench/llama-bench.cpp (September 2026).
#include "bench_options.h"

#include <fmt/format.h>

#include <charconv>

#include "base/error.h"
#include "base/text.h"
#include "engine/draft_policy.h"
#include "eval/number_list.h"
#include "model_options.h"

namespace foretoken::tools {
namespace {

CLI::Option* add_list(CLI::App& app, const char* names, std::vector<std::string>& target,
                      const char* text, const char* type = "LIST") {
  return app.add_option(names, target, text)->type_name(type)->allow_extra_args(false);
}

std::vector<std::string> split(const std::vector<std::string>& values) {
  std::vector<std::string> out;
  for (const std::string& value : values) {
    for (std::size_t at = 0; at <= value.size();) {
      const std::size_t comma = std::min(value.find(',', at), value.size());
      out.push_back(value.substr(at, comma - at));
      at = comma + 1;
    }
  }
  return out;
}

std::vector<int> numbers(const std::vector<std::string>& values, const eval::NumberListRules& rules,
                         std::vector<int> usual) {
  if (values.empty()) return usual;
  std::vector<int> out;
  for (const std::string& value : values) {
    const std::vector<int> part = eval::parse_number_list(value, rules);
    out.insert(out.end(), part.begin(), part.end());
  }
  return out;
}

std::vector<std::pair<int, int>> pairs(const std::vector<std::string>& values) {
  std::vector<std::pair<int, int>> out;
  for (const std::string& value : values) {
    const std::vector<int> both = eval::parse_number_list(value, {.name = "-pg", .least = 1});
    if (both.size() != 2 || value.find('-') != std::string::npos) {
      throw RequestError(fmt::format("-pg: {} is not a pair of numbers; write for example 512,128",
                                     quoted(value)));
    }
    out.emplace_back(both[0], both[1]);
  }
  return out;
}

std::vector<std::string> types(const std::vector<std::string>& values) {
  if (values.empty()) return {"f16"};
  std::vector<std::string> out = split(values);
  for (const std::string& name : out) parse_kv_type(name);
  return out;
}

std::vector<float> temperatures(const std::string& text) {
  std::vector<float> out;
  for (const std::string& item : split({text})) {
    float value = -1.0F;
    const auto parsed = std::from_chars(item.data(), item.data() + item.size(), value);
    if (parsed.ec != std::errc{} || parsed.ptr != item.data() + item.size() || !(value >= 0.0F) ||
        value > 100.0F) {
      throw RequestError(fmt::format(
          "--spec-temp: {} is not a temperature; use numbers from 0 to 100", quoted(item)));
    }
    out.push_back(value);
  }
  return out;
}

// Without --spec-draft-n-max: the lengths worth comparing, or as many as there are rates.
std::vector<int> usual_n_max(const BenchOptions& options) {
  if (!options.synth_rates.empty()) return {static_cast<int>(split({options.synth_rates}).size())};
  return {0, 1, 2, 3};
}

bool wants_speculation(const BenchOptions& options) {
  const bool synthetic = !options.synth_rates.empty() || !options.synth_length.empty();
  if (options.spec_type == "draft-mtp" || options.spec_type == "mtp") return true;
  if (options.spec_type != "none") {
    throw RequestError(fmt::format("--spec-type {} is unknown here; use draft-mtp or none",
                                   quoted(options.spec_type)));
  }
  if (synthetic || !options.n_max.empty()) {
    throw RequestError("draft options need --spec-type draft-mtp beside them");
  }
  return false;
}

void add_tests(CLI::App& app, BenchOptions& options) {
  CLI::App* group = app.add_option_group("Tests");
  add_list(*group, "-p,--n-prompt", options.prompts,
           "read this many tokens: pp512 (default 512; 0: leave out)");
  add_list(*group, "-n,--n-gen", options.generated,
           "generate this many, one by one: tg128 (default 128; 0: leave out)");
  add_list(*group, "--prompt-gen", options.both, "read PP, then generate TG (-pg)", "PP,TG");
  add_list(*group, "-d,--n-depth", options.depths,
           "tokens that are in the context already, outside the clock (default 0)");
  group->add_flag("--cost", options.cost,
                  "also time target passes over 1 to 9 tokens: what verifying drafts costs");
}

void add_configurations(CLI::App& app, BenchOptions& options) {
  CLI::App* group = app.add_option_group("What to compare");
  add_list(*group, "-m,--model", options.models, "GGUF model file", "FILE")
      ->required()
      ->envname("LLAMA_ARG_MODEL");
  add_list(*group, "-t,--threads", options.threads, "threads (default: all cores)");
  add_list(*group, "-b,--batch-size", options.batches, "an upper limit of -ub (default 2048)");
  add_list(*group, "--ubatch-size", options.ubatches, "prompt tokens per pass (-ub; default 512)");
  add_list(*group, "--cache-type-k", options.key_types,
           "types of cached keys (-ctk): f32 f16 bf16 q8_0 q4_0");
  add_list(*group, "--cache-type-v", options.value_types, "types of cached values (-ctv)");
  group->add_option("--backend", options.backend, "kernels, as in `run`")
      ->capture_default_str()
      ->type_name("NAME");
}

void add_protocol(CLI::App& app, BenchOptions& options) {
  CLI::App* group = app.add_option_group("Protocol and output");
  group->add_option("-r,--repetitions", options.repetitions, "times each test is repeated")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000))
      ->type_name("N");
  group->add_option("--delay", options.delay_seconds, "seconds to wait before each test")
      ->check(CLI::Range(0, 3600))
      ->type_name("S");
  group->add_flag_callback(
      "--no-warmup", [&options] { options.warm_up = false; },
      "do not run each test once before timing it");
  group->add_option("-o,--output", options.output, "format on standard output: md csv json jsonl")
      ->capture_default_str()
      ->type_name("FORMAT");
  group->add_option("--output-err", options.output_err, "format on standard error (-oe), or none")
      ->capture_default_str()
      ->type_name("FORMAT");
  group->add_flag("--progress", options.progress, "say on standard error what is being measured");
}

void add_speculation(CLI::App& app, BenchOptions& options) {
  CLI::App* group = app.add_option_group("Speculation (tests spec128, on questions of nine kinds)");
  group->add_option("--spec-type", options.spec_type, "draft-mtp: measure drafting; or none")
      ->capture_default_str()
      ->type_name("TYPE");
  group->add_flag_callback(
      "--spec-mtp", [&options] { options.spec_type = "draft-mtp"; },
      "same as --spec-type draft-mtp (-mtp)");
  add_list(*group, "--spec-draft-n-max", options.n_max,
           "tokens drafted in a round (default 0,1,2,3)");
  group->add_option("--spec-temp", options.temperatures, "temperatures to sample at; 0: greedy")
      ->capture_default_str()
      ->type_name("LIST");
  group->add_flag("--spec-by-category", options.by_category, "a row for each kind of text");
  group->add_flag("--spec-draft-adaptive", options.adaptive,
                  "draft as deep as pays up to n_max, instead of always to it");
  group
      ->add_option("--spec-draft-vocab", options.draft_vocabulary,
                   "rows of the output matrix that drafts may come from; 0: all")
      ->capture_default_str()
      ->check(CLI::Range(0, 1 << 24))
      ->type_name("N");
  auto* rates =
      group
          ->add_option("--spec-synth-rates", options.synth_rates,
                       "accept drafts by lot: probabilities that drafts 1..i are all kept. Speed "
                       "as a function of acceptance, whatever the model")
          ->type_name("R1,R2,..");
  group
      ->add_option("--spec-synth-len", options.synth_length,
                   "the same, given the mean tokens of a round")
      ->excludes(rates)
      ->type_name("L");
}

}  // namespace

void add_bench_options(CLI::App& app, BenchOptions& options) {
  add_configurations(app, options);
  add_tests(app, options);
  add_speculation(app, options);
  add_protocol(app, options);
  // Scripts written for llama-bench pass these; this build computes on the CPU.
  auto ignored = std::make_shared<std::vector<std::string>>();
  for (const char* name : {"--n-gpu-layers", "--flash-attn", "--prio", "--poll", "--mmap"}) {
    add_list(app, name, *ignored, "")->group("");
  }
  app.final_callback([ignored] { ignored->clear(); });
}

BenchLists finish_bench_options(const BenchOptions& options) {
  constexpr int kMostTokens = 1 << 20;
  BenchLists out;
  out.models = split(options.models);
  out.prompts = numbers(options.prompts, {.name = "-p", .most = kMostTokens}, {512});
  out.generated = numbers(options.generated, {.name = "-n", .most = kMostTokens}, {128});
  out.both = pairs(options.both);
  out.depths = numbers(options.depths, {.name = "-d", .most = kMostTokens}, {0});
  out.batches = numbers(options.batches, {.name = "-b", .least = 1, .most = 1 << 16}, {2048});
  out.ubatches = numbers(options.ubatches, {.name = "-ub", .least = 1, .most = 1 << 16}, {512});
  out.key_types = types(options.key_types);
  out.value_types = types(options.value_types);
  out.threads = numbers(options.threads, {.name = "-t", .most = 512}, {0});
  out.speculate = wants_speculation(options);
  out.n_max = numbers(options.n_max, {.name = "--spec-draft-n-max", .most = engine::kMaxDraftChain},
                      usual_n_max(options));
  out.temperatures = temperatures(options.temperatures);
  return out;
}

}  // namespace foretoken::tools
