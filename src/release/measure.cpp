#include "release/measure.h"

#include <fmt/format.h>

#include <fstream>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine/engine.h"
#include "engine/session.h"
#include "eval/acceptance.h"
#include "eval/bundled_text.h"
#include "eval/perplexity.h"

namespace foretoken::release {
namespace {

// Activations, caches and the program itself, on top of the weights.
constexpr std::size_t kHeadroomBytes = std::size_t{1} << 30;

// Memory that can be had without swapping, as the kernel estimates it; 0 when it does not say.
std::size_t available_memory() {
  std::ifstream in("/proc/meminfo");
  std::string word;
  while (in >> word) {
    std::size_t kib = 0;
    if (word == "MemAvailable:" && in >> kib) return kib * 1024;
  }
  return 0;
}

}  // namespace

CardMeasurement measure(const std::string& path, const MeasureOptions& options,
                        const MeasureProgress& progress) {
  const auto report = [&](const char* what, std::size_t done, std::size_t total) {
    return !progress || progress(what, done, total);
  };
  engine::Engine engine(
      {.model_path = path,
       .n_threads = options.n_threads,
       .backend = {},
       .progress = [&](std::size_t done, std::size_t total) { report("loading", done, total); }});
  CardMeasurement out;
  {
    engine::SessionOptions session_options;
    session_options.n_context = options.n_context;
    session_options.use_mtp = false;
    engine::Session session(engine, session_options);
    const std::vector<TokenId> ids =
        engine.tokenizer().encode(eval::bundled_text(), {.parse_special = false});
    const eval::Perplexity perplexity =
        eval::measure_perplexity(session, ids, [&](int done, int total, const eval::Perplexity&) {
          return report("perplexity", static_cast<std::size_t>(done),
                        static_cast<std::size_t>(total));
        });
    out.perplexity = perplexity.value;
    out.perplexity_error = perplexity.standard_error;
  }
  if (engine.mtp_head() == nullptr) return out;
  eval::AcceptanceOptions acceptance;
  acceptance.max_depth = options.max_depth;
  acceptance.n_predict = options.n_predict;
  acceptance.temperatures = {0.0F};
  const eval::AcceptanceReport measured = eval::measure_acceptance(
      engine, acceptance,
      [&](std::size_t done, std::size_t total) { return report("acceptance", done, total); });
  int depth = 0;
  for (const eval::AcceptanceCount& count : measured.runs.front().all.by_depth) {
    out.acceptance.push_back({++depth, count.rate(), count.tokens_per_round()});
  }
  return out;
}

std::string lacks_memory(std::size_t file_bytes) {
  const std::size_t available = available_memory();
  if (available == 0 || file_bytes + kHeadroomBytes <= available) return "";
  return fmt::format("not measured: it needs {:.1f} GB of memory",
                     static_cast<double>(file_bytes + kHeadroomBytes) / 1e9);
}

std::string perplexity_text() { return "a short bundled text (English, other languages, code)"; }

std::string acceptance_prompts() {
  std::size_t n = 0;
  const std::vector<eval::AcceptanceCategory> categories = eval::bundled_acceptance_categories();
  for (const eval::AcceptanceCategory& category : categories) n += category.prompts.size();
  return fmt::format("{} bundled prompts of {} kinds", n, categories.size());
}

}  // namespace foretoken::release
