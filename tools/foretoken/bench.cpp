// `foretoken bench`: speed of prompts, decoding and drafting, in llama-bench's table.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "base/error.h"
#include "base/text.h"
#include "bench_options.h"
#include "chat/chat_template.h"
#include "command.h"
#include "engine/cost_table.h"
#include "eval/bench_measure.h"
#include "eval/bench_prompts.h"
#include "eval/bench_report.h"
#include "model/file_summary.h"
#include "model_options.h"

namespace foretoken::tools {
namespace {

using Kind = eval::BenchTest::Kind;

constexpr std::uint32_t kSamplingSeed = 1;
constexpr std::uint64_t kSyntheticSeed = 1;

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("model name")) continue;
    const std::size_t colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

std::string now_utc() {
  return fmt::format("{:%FT%TZ}", fmt::gmtime(std::chrono::time_point_cast<std::chrono::seconds>(
                                      std::chrono::system_clock::now())));
}

std::string model_type(const model::FileSummary& file) {
  std::string out = file.architecture;
  for (const std::string& part : {file.size, file.file_type}) {
    if (!part.empty()) out += " " + part;
  }
  return out;
}

/// Writes results as they come: to standard output, and where asked to standard error as well.
class Output {
 public:
  Output(const BenchOptions& options, const eval::BenchMachine& machine,
         const eval::BenchColumns& columns)
      : out_(eval::make_bench_report(options.output, machine, columns)) {
    if (options.output_err != "none") {
      err_ = eval::make_bench_report(options.output_err, machine, columns);
    }
  }
  void begin() { write(out_->begin(), err_ ? err_->begin() : ""); }
  void row(const eval::BenchResult& result) {
    write(out_->row(result), err_ ? err_->row(result) : "");
  }
  void end() { write(out_->end(), err_ ? err_->end() : ""); }

 private:
  static void write(const std::string& out, const std::string& err) {
    std::fwrite(err.data(), 1, err.size(), stderr);
    if (std::fwrite(out.data(), 1, out.size(), stdout) != out.size() || std::fflush(stdout) != 0) {
      throw IoError(fmt::format("standard output: cannot write: {}", std::strerror(errno)));
    }
  }
  std::unique_ptr<eval::BenchReport> out_;
  std::unique_ptr<eval::BenchReport> err_;
};

class Bench {
 public:
  Bench(const BenchOptions& options, const BenchLists& lists)
      : options_(options),
        lists_(lists),
        output_(options, {FORETOKEN_VERSION, processor_name()}, columns()) {}

  void run() {
    output_.begin();
    for (const std::string& model : lists_.models) {
      for (const int threads : lists_.threads) run_model(model, threads);
    }
    output_.end();
    if (!mismatch_.empty()) throw Error(mismatch_);
  }

 private:
  eval::BenchColumns columns() const {
    return {.batch = lists_.batches != std::vector{2048},
            .ubatch = lists_.ubatches != std::vector{512},
            .key_type = lists_.key_types != std::vector<std::string>{"f16"},
            .value_type = lists_.value_types != std::vector<std::string>{"f16"},
            .drafts = lists_.speculate,
            .latency = options_.cost};
  }

  void run_model(const std::string& path, int threads) {
    ModelOptions options;
    options.model = path;
    options.threads = threads;
    options.backend = options_.backend;
    const auto engine = load_engine(options);
    const model::FileSummary file = model::summarize(engine->weights().file());
    eval::BenchSetup setup;
    setup.model_path = path;
    setup.model_type = model_type(file);
    setup.size_bytes = file.size_bytes;
    setup.n_parameters = file.n_elements;
    setup.backend = "CPU";
    setup.kernels = std::string(engine->ops().name());
    setup.n_threads = engine->n_threads();
    for (const int batch : lists_.batches) {
      for (const int ubatch : lists_.ubatches) {
        for (const std::string& key : lists_.key_types) {
          for (const std::string& value : lists_.value_types) {
            setup.n_batch = batch;
            setup.n_ubatch = ubatch;
            setup.key_type = key;
            setup.value_type = value;
            run_tests(*engine, setup);
          }
        }
      }
    }
  }

  void run_tests(engine::Engine& engine, const eval::BenchSetup& setup) {
    for (const int depth : lists_.depths) {
      for (const int n : lists_.prompts) throughput(engine, setup, n, 0, depth);
      for (const int n : lists_.generated) throughput(engine, setup, 0, n, depth);
      for (const auto& [pp, tg] : lists_.both) throughput(engine, setup, pp, tg, depth);
      if (options_.cost) {
        for (int w = 1; w <= engine::kMaxVerifyWidth; ++w) verify_cost(engine, setup, w, depth);
      }
    }
    if (!lists_.speculate) return;
    for (const int n : lists_.generated) {
      if (n > 0) speculation(engine, setup, n);
    }
  }

  static engine::SessionOptions session_for(const eval::BenchSetup& setup, int n_context) {
    return {.n_context = n_context,
            .n_batch = std::min(setup.n_batch, setup.n_ubatch),
            .kv_types = {parse_kv_type(setup.key_type), parse_kv_type(setup.value_type)},
            .use_mtp = false};
  }

  void throughput(engine::Engine& engine, const eval::BenchSetup& setup, int n_prompt, int n_gen,
                  int depth) {
    if (n_prompt + n_gen == 0) return;
    const eval::BenchTest test{
        .kind = Kind::Throughput, .n_prompt = n_prompt, .n_gen = n_gen, .n_depth = depth};
    engine::Session session(engine, session_for(setup, depth + n_prompt + n_gen));
    report(setup, test, [&](const eval::BenchRepeat& repeat) {
      return eval::measure_throughput(session, test, repeat);
    });
  }

  void verify_cost(engine::Engine& engine, const eval::BenchSetup& setup, int width, int depth) {
    const eval::BenchTest test{.kind = Kind::Verify, .n_prompt = width, .n_depth = depth};
    engine::Session session(engine, session_for(setup, depth + width + eval::kVerifyPasses));
    report(setup, test, [&](const eval::BenchRepeat& repeat) {
      return eval::measure_verify(session, test, repeat);
    });
  }

  // ---- Speculation ----

  void speculation(engine::Engine& engine, const eval::BenchSetup& setup, int n_gen) {
    const std::vector<std::vector<TokenId>> prompts = encode_prompts(engine);
    std::size_t longest = 0;
    for (const auto& prompt : prompts) longest = std::max(longest, prompt.size());
    engine::SessionOptions session_options =
        session_for(setup, static_cast<int>(longest) + n_gen + engine::kMaxVerifyWidth);
    session_options.use_mtp = true;
    engine::Session session(engine, session_options);
    for (const float temperature : lists_.temperatures) {
      greedy_tokens_.clear();
      for (const int n_max : lists_.n_max) {
        eval::BenchTest test{.kind = Kind::Speculation, .n_gen = n_gen};
        test.n_max = n_max;
        test.temperature = temperature;
        speculate(session, setup, test, prompts);
      }
    }
  }

  void speculate(engine::Session& session, const eval::BenchSetup& setup, eval::BenchTest test,
                 const std::vector<std::vector<TokenId>>& prompts) {
    const engine::SpeculationOptions speculation = speculation_for(test.n_max);
    test.synthetic = speculation.synthetic.has_value();
    sampling::SamplingParams sampling;
    sampling.temperature = test.temperature;
    sampling.seed = kSamplingSeed;
    engine::Generator generator(session, sampling, speculation);
    const std::span<const std::vector<TokenId>> all(prompts);
    for (std::size_t i = 0; i < (options_.by_category ? prompts.size() : 1); ++i) {
      if (options_.by_category) test.category = eval::bench_prompts()[i].category;
      report(setup, test, [&](const eval::BenchRepeat& repeat) {
        const auto some = options_.by_category ? all.subspan(i, 1) : all;
        eval::BenchMeasurement out =
            eval::measure_speculation(session, generator, some, test.n_gen, repeat);
        if (test.temperature == 0.0F && !test.synthetic) compare_greedy(test, out.tokens);
        return out;
      });
    }
  }

  // Drafting must not change greedy text; a speed-up with another text would be a mistake.
  void compare_greedy(const eval::BenchTest& test, const std::vector<TokenId>& tokens) {
    const auto [first, is_new] = greedy_tokens_.emplace(test.category, tokens);
    if (is_new || first->second == tokens) return;
    mismatch_ = fmt::format(
        "{} with n_max {}: the greedy text differs from the one without or with fewer drafts; "
        "drafting must not change it, so this is a bug worth reporting",
        test.name(), test.n_max);
  }

  engine::SpeculationOptions speculation_for(int n_max) const {
    engine::SpeculationOptions out;
    out.type = n_max == 0 ? engine::SpeculationOptions::Type::None
                          : engine::SpeculationOptions::Type::DraftMtp;
    out.limits.n_max = n_max;
    out.adaptive = options_.adaptive;
    out.draft_vocabulary = options_.draft_vocabulary;
    if (n_max == 0) return out;
    if (!options_.synth_rates.empty()) {
      out.synthetic = engine::SyntheticAcceptance::parse_rates(
          first_items(options_.synth_rates, n_max), n_max, kSyntheticSeed);
    } else if (!options_.synth_length.empty()) {
      out.synthetic =
          engine::SyntheticAcceptance::parse_length(options_.synth_length, n_max, kSyntheticSeed);
    }
    return out;
  }

  // One list of rates serves every n_max up to its length.
  static std::string first_items(const std::string& list, int n) {
    std::size_t end = 0;
    for (int i = 0; i < n && end != std::string::npos; ++i) end = list.find(',', end + 1);
    return list.substr(0, end);
  }

  // Thinking is off, so that the text is of the kind that was asked for.
  static std::vector<std::vector<TokenId>> encode_prompts(const engine::Engine& engine) {
    const tokenizer::Tokenizer& tokenizer = engine.tokenizer();
    const chat::ChatTemplate chat(
        tokenizer.chat_template().value_or(chat::ChatTemplate::builtin_source()));
    std::vector<std::vector<TokenId>> out;
    for (const eval::BenchPrompt& prompt : eval::bench_prompts()) {
      const nlohmann::ordered_json messages = {{{"role", "user"}, {"content", prompt.text}}};
      chat::RenderOptions options;
      options.enable_thinking = false;
      std::vector<tokenizer::Segment> segments;
      for (const chat::Segment& part : chat.render(messages, options)) {
        segments.push_back({part.text, part.trusted});
      }
      out.push_back(tokenizer.encode(segments));
    }
    return out;
  }

  template <class Measure>
  void report(const eval::BenchSetup& setup, const eval::BenchTest& test, const Measure& measure) {
    std::this_thread::sleep_for(std::chrono::seconds(options_.delay_seconds));
    eval::BenchRepeat repeat{.repetitions = options_.repetitions, .warm_up = options_.warm_up};
    if (options_.progress) {
      repeat.progress = [&](int i) {
        fmt::print(
            stderr, "bench: {}, {}{}: {}\n", printable(setup.model_type), test.name(),
            test.kind == Kind::Speculation ? fmt::format(", n_max {}", test.n_max) : "",
            i == 0 ? "warm-up" : fmt::format("repetition {} of {}", i, options_.repetitions));
      };
    }
    eval::BenchResult result{.setup = setup, .test = test, .time = now_utc()};
    eval::BenchMeasurement measured = measure(repeat);
    result.samples = std::move(measured.samples);
    result.drafts = std::move(measured.drafts);
    output_.row(result);
  }

  const BenchOptions& options_;
  const BenchLists& lists_;
  Output output_;
  std::map<std::string, std::vector<TokenId>> greedy_tokens_;  // by category
  std::string mismatch_;
};

}  // namespace

Run add_bench(CLI::App& app) {
  auto options = std::make_shared<BenchOptions>();
  add_bench_options(app, *options);
  app.footer(
      "Lists: 512,1024  1-8  0-32768+8192  1-16*2; options may be repeated. Tests pp and tg use\n"
      "random tokens, as llama-bench does; spec uses questions of nine kinds, thinking off, and "
      "stops\n"
      "where the answer ends. Columns: acc = drafts accepted of those verified, len = tokens per\n"
      "pass of the model. Rates are mean and standard deviation over the repetitions.");
  return [options] {
    std::signal(SIGPIPE, SIG_DFL);
    const BenchLists lists = finish_bench_options(*options);
    Bench(*options, lists).run();
    return 0;
  };
}

}  // namespace foretoken::tools
