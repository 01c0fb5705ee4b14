#include "eval/bench_measure.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <random>

namespace foretoken::eval {
namespace {

using std::chrono::steady_clock;

double seconds_since(steady_clock::time_point start) {
  return std::chrono::duration<double>(steady_clock::now() - start).count();
}

std::size_t z(int n) { return static_cast<std::size_t>(n); }

std::vector<TokenId> random_tokens(const engine::Session& session, int n) {
  const engine::Engine& engine = session.engine();
  const int most = std::min(engine.tokenizer().n_real_vocab(), engine.config().n_vocab) - 1;
  std::mt19937 random(1);  // the same text in every run
  std::vector<TokenId> out(z(n));
  for (TokenId& token : out) token = std::uniform_int_distribution<TokenId>(0, most)(random);
  return out;
}

/// Runs `once` for the warm-up and each repetition, from the same depth.
template <class Once>
BenchMeasurement repeat_at_depth(engine::Session& session, int n_depth, const BenchRepeat& repeat,
                                 const Once& once) {
  BenchMeasurement out;
  cache::CheckpointPtr start;
  if (n_depth > 0) {
    session.rewind(0);
    session.prefill(random_tokens(session, n_depth));
    start = session.take_checkpoint();
  }
  for (int i = repeat.warm_up ? 0 : 1; i <= repeat.repetitions; ++i) {
    if (repeat.progress) repeat.progress(i);
    if (start) {
      session.restore(start);
    } else {
      session.rewind(0);
    }
    const BenchSample sample = once();
    if (i > 0) out.samples.push_back(sample);
  }
  session.rewind(0);
  return out;
}

void add(const engine::GenerateStats& stats, BenchDrafts& drafts) {
  drafts.rounds += stats.rounds;
  drafts.drafted += stats.drafted;
  drafts.accepted += stats.accepted;
  drafts.draft_seconds += stats.draft_seconds;
  drafts.verify_seconds += stats.verify_seconds;
  drafts.drafted_at.resize(stats.drafted_at.size());
  drafts.accepted_at.resize(stats.accepted_at.size());
  for (std::size_t i = 0; i < stats.drafted_at.size(); ++i) {
    drafts.drafted_at[i] += stats.drafted_at[i];
    drafts.accepted_at[i] += stats.accepted_at[i];
  }
}

/// One timed reply. The first token belongs to the prompt.
BenchSample reply(engine::Session& session, engine::Generator& generator,
                  std::span<const TokenId> prompt, int n_gen, engine::GenerateResult& result) {
  session.rewind(0);
  session.prefill(prompt);
  generator.observe_prompt();
  std::optional<steady_clock::time_point> first;
  result = generator.generate({.max_tokens = n_gen}, [&](TokenId) {
    if (!first) first = steady_clock::now();
    return true;
  });
  if (!first) return {};
  return {static_cast<int>(result.tokens.size()) - 1, seconds_since(*first)};
}

}  // namespace

BenchMeasurement measure_throughput(engine::Session& session, const BenchTest& test,
                                    const BenchRepeat& repeat) {
  const std::vector<TokenId> tokens = random_tokens(session, test.n_prompt + test.n_gen);
  const std::span<const TokenId> all(tokens);
  return repeat_at_depth(session, test.n_depth, repeat, [&] {
    const auto start = steady_clock::now();
    if (test.n_prompt > 0) {
      session.prefill(all.first(z(test.n_prompt)));
      session.last_logits();
    }
    for (int i = 0; i < test.n_gen; ++i) {
      session.run(all.subspan(z(test.n_prompt + i), 1));
      session.commit(1);
    }
    return BenchSample{test.n_prompt + test.n_gen, seconds_since(start)};
  });
}

BenchMeasurement measure_verify(engine::Session& session, const BenchTest& test,
                                const BenchRepeat& repeat) {
  const std::vector<TokenId> tokens = random_tokens(session, test.n_prompt);
  return repeat_at_depth(session, test.n_depth, repeat, [&] {
    const auto start = steady_clock::now();
    for (int i = 0; i < kVerifyPasses; ++i) {
      session.run(tokens);
      session.commit(1);
    }
    return BenchSample{test.n_prompt * kVerifyPasses, seconds_since(start)};
  });
}

BenchMeasurement measure_speculation(engine::Session& session, engine::Generator& generator,
                                     std::span<const std::vector<TokenId>> prompts, int n_gen,
                                     const BenchRepeat& repeat) {
  BenchMeasurement out;
  for (int i = repeat.warm_up ? 0 : 1; i <= repeat.repetitions; ++i) {
    if (repeat.progress) repeat.progress(i);
    BenchSample sum;
    for (const std::vector<TokenId>& prompt : prompts) {
      engine::GenerateResult result;
      const BenchSample one = reply(session, generator, prompt, n_gen, result);
      if (i == 0) break;  // one reply warms up as well as nine
      sum.n_tokens += one.n_tokens;
      sum.seconds += one.seconds;
      add(result.stats, out.drafts);
      if (i == 1) out.tokens.insert(out.tokens.end(), result.tokens.begin(), result.tokens.end());
    }
    if (i > 0) out.samples.push_back(sum);
  }
  session.rewind(0);
  return out;
}

}  // namespace foretoken::eval
