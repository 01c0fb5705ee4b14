// The engine without a server, for overhead.mjs to compare with: reads lines "N ID ID ..." (tokens
// to generate, prompt), answers each with the milliseconds it took and the tokens it generated.
// Greedy, never the end of the text, nothing kept between lines. With a second argument n_max > 0
// it drafts as the server does.
#include <charconv>
#include <chrono>
#include <cstdio>
#include <exception>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "engine/generate.h"

namespace {

using namespace foretoken;
using Clock = std::chrono::steady_clock;

sampling::SamplingParams endless(const tokenizer::Tokenizer& tokenizer) {
  sampling::SamplingParams out;
  out.temperature = 0.0F;
  for (TokenId id = 0; id < tokenizer.n_real_vocab(); ++id) {
    if (tokenizer.is_end_of_generation(id)) out.logit_bias.push_back({id, -1e9F});
  }
  return out;
}

void answer_lines(const std::string& model, int n_max) {
  engine::Engine engine({.model_path = model, .n_threads = 1, .backend = {}, .progress = {}});
  engine::SessionOptions options;
  options.use_mtp = n_max > 0;
  engine::Session session(engine, options);
  engine::SpeculationOptions speculation;
  speculation.type = n_max > 0 ? engine::SpeculationOptions::Type::DraftMtp
                               : engine::SpeculationOptions::Type::None;
  speculation.limits.n_max = n_max;
  const sampling::SamplingParams sampling = endless(engine.tokenizer());
  const auto costs = std::make_shared<engine::CostTable>();
  std::string line;
  while (std::getline(std::cin, line)) {
    std::istringstream words(line);
    int n_tokens = 0;
    words >> n_tokens;
    std::vector<TokenId> prompt;
    for (TokenId id = 0; words >> id;) prompt.push_back(id);
    const auto start = Clock::now();
    session.rewind(0);
    session.prefill(prompt);
    engine::GeneratorParts parts;
    parts.costs = costs;
    engine::Generator generator(session, sampling, speculation, parts);
    generator.observe_prompt();
    const auto result = generator.generate({.max_tokens = n_tokens});
    const std::chrono::duration<double, std::milli> took = Clock::now() - start;
    std::cout << took.count();
    for (const TokenId id : result.tokens) std::cout << ' ' << id;
    std::cout << std::endl;
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string n_max = argc > 2 ? argv[2] : "0";
  int value = -1;
  std::from_chars(n_max.data(), n_max.data() + n_max.size(), value);
  if (argc < 2 || value < 0) {
    std::fputs("usage: engine_alone MODEL [DRAFTS]\n", stderr);
    return 2;
  }
  try {
    answer_lines(argv[1], value);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "engine_alone: %s\n", error.what());
    return 1;
  }
}
