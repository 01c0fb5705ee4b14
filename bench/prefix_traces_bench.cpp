// How many prompt tokens are processed per turn when the prefix cache is too small for everything:
// made-up traffic of agents and chats through the real tree, with the sizes of the 9B in f16
// (memory is only counted, not used). The counter is the result; the time means little. Results of
// this and of other rules: docs/prefix-cache.md, "Measured".
#include <benchmark/benchmark.h>

#include <random>
#include <vector>

#include "cache/checkpoint_plan.h"
#include "cache/prefix_cache.h"

namespace {

using namespace foretoken;
using namespace foretoken::cache;
using Tokens = std::vector<TokenId>;

constexpr TokenId kTurn = 1;
constexpr KvPageShape kKv{8, 4, 256, {quant::Type::F16, quant::Type::F16}};
constexpr KvPageShape kMtp{1, 4, 256, {quant::Type::F16, quant::Type::F16}};

Tokens joined(Tokens a, const Tokens& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

class Traffic {
 public:
  Traffic(std::size_t max_bytes, unsigned seed)
      : cache_({.max_bytes = max_bytes, .min_checkpoints = 4}), random_(seed) {}

  std::size_t from(std::size_t least, std::size_t most) {
    return least + random_() % (most - least + 1);
  }
  Tokens message(std::size_t n) {
    Tokens out = {kTurn};
    while (out.size() < n) out.push_back(2 + static_cast<TokenId>(random_() % 100'000));
    return out;
  }
  Tokens side_request() { return joined(message(from(150, 1200)), message(4)); }

  // Tokens of a prompt that the cache does not spare.
  std::size_t missing(const Tokens& prompt) {
    const CheckpointPtr found = cache_.find(prompt, prompt.size() - 1);
    return prompt.size() - (found == nullptr ? 0 : found->tokens.size());
  }

  // Processes a prompt and a reply; `sequence` becomes both. Returns the prompt tokens processed.
  std::size_t process(const Tokens& prompt, std::size_t n_reply, Tokens& sequence) {
    const CheckpointPtr found = cache_.find(prompt, prompt.size() - 1);
    const std::size_t n_cached = found == nullptr ? 0 : found->tokens.size();
    Tokens all = prompt;
    while (all.size() < prompt.size() + n_reply) {
      all.push_back(2 + static_cast<TokenId>(random_() % 100'000));
    }
    KvPages kv;
    KvPages mtp;
    for (std::size_t i = 0; i * 64 < all.size(); ++i) {
      const bool is_shared = i < n_cached / 64;
      kv.push_back(is_shared ? found->kv[i] : std::make_shared<std::byte>());
      mtp.push_back(is_shared ? found->mtp_kv[i] : std::make_shared<std::byte>());
    }
    for (const int at : plan_checkpoints(prompt, kTurn, static_cast<int>(n_cached), 1024)) {
      keep(all, static_cast<std::size_t>(at), kv, mtp);
    }
    keep(all, all.size(), kv, mtp);
    sequence = std::move(all);
    return prompt.size() - n_cached;
  }

 private:
  void keep(const Tokens& all, std::size_t n, const KvPages& kv, const KvPages& mtp) {
    const auto n_pages = static_cast<std::ptrdiff_t>((n + 63) / 64);
    auto c = std::make_shared<Checkpoint>();
    c->kv_shape = kKv;
    c->mtp_shape = kMtp;
    c->tokens.assign(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(n));
    c->kv.assign(kv.begin(), kv.begin() + n_pages);
    c->mtp_kv.assign(mtp.begin(), mtp.begin() + n_pages);
    if (n % 64 != 0) {  // the sequence goes on in a copy
      c->kv.back() = std::make_shared<std::byte>();
      c->mtp_kv.back() = std::make_shared<std::byte>();
    }
    // Never touched, so they take addresses only.
    c->recurrent.s = AlignedBuffer<float>(24 * 32 * 128 * 128);
    c->recurrent.conv = AlignedBuffer<float>(24 * 3 * 8192);
    cache_.insert(std::move(c));
  }

  PrefixCache cache_;
  std::mt19937 random_;
};

// Two conversations of 30 turns by turns, some side requests behind each; half of these have a
// system block in common.
double agents(std::size_t max_bytes, int n_side, unsigned seed) {
  Traffic traffic(max_bytes, seed);
  std::vector<Tokens> conversations(2, traffic.message(6000));
  const Tokens side_system = traffic.message(800);
  Tokens unused;
  std::size_t n_processed = 0;
  for (int turn = 0; turn < 30; ++turn) {
    for (Tokens& conversation : conversations) {
      const Tokens said = joined(traffic.message(traffic.from(100, 1500)), traffic.message(4));
      const std::size_t n =
          traffic.process(joined(conversation, said), traffic.from(50, 400), conversation);
      if (turn > 0) n_processed += n;
      for (int i = 0; i < n_side; ++i) {
        const Tokens system = traffic.from(0, 1) == 0 ? side_system : Tokens();
        traffic.process(joined(system, traffic.side_request()), 20, unused);
      }
    }
  }
  return static_cast<double>(n_processed) / (29 * 2);
}

// 12 users, each half as diligent as the one before or so; some begin anew, some edit an earlier
// turn, and each conversation gets a title.
double chats(std::size_t max_bytes, unsigned seed) {
  Traffic traffic(max_bytes, seed);
  const Tokens system = traffic.message(300);
  std::vector<std::vector<Tokens>> histories(12);
  Tokens unused;
  std::size_t n_processed = 0;
  constexpr int kTurns = 400;
  for (int turn = 0; turn < kTurns; ++turn) {
    std::size_t user = 0;
    while (user + 1 < histories.size() && traffic.from(0, 2) != 0) ++user;
    std::vector<Tokens>& history = histories[user];
    if (traffic.from(0, 49) == 0) history.clear();
    if (history.empty()) history.push_back(system);
    if (history.size() > 2 && traffic.from(0, 11) == 0) {
      history.resize(traffic.from(1, history.size() - 1));
    }
    const Tokens said = joined(traffic.message(traffic.from(30, 900)), traffic.message(4));
    Tokens sequence;
    n_processed += traffic.process(joined(history.back(), said), traffic.from(100, 800), sequence);
    history.push_back(std::move(sequence));
    if (history.size() == 2) {
      traffic.process(joined(traffic.message(traffic.from(200, 900)), traffic.message(4)), 20,
                      unused);
    }
  }
  return static_cast<double>(n_processed) / kTurns;
}

// 20 turns, then side requests, then every turn is said anew.
double rewinds(std::size_t max_bytes, int n_side, unsigned seed) {
  Traffic traffic(max_bytes, seed);
  Tokens conversation = traffic.message(1500);
  std::vector<Tokens> before;
  Tokens unused;
  for (int turn = 0; turn < 20; ++turn) {
    before.push_back(conversation);
    const Tokens said = joined(traffic.message(traffic.from(100, 600)), traffic.message(4));
    traffic.process(joined(conversation, said), traffic.from(50, 300), conversation);
  }
  for (int i = 0; i < n_side; ++i) traffic.process(traffic.side_request(), 20, unused);
  std::size_t n_processed = 0;
  for (auto turn = before.rbegin(); turn != before.rend(); ++turn) {
    n_processed += traffic.missing(joined(*turn, joined(traffic.message(50), traffic.message(4))));
  }
  return static_cast<double>(n_processed) / static_cast<double>(before.size());
}

// Runs a trace with four seeds and reports the mean.
template <class Trace>
void report(benchmark::State& state, const Trace& trace) {
  double sum = 0.0;
  int n = 0;
  for (auto _ : state) {
    for (unsigned seed = 1; seed <= 4; ++seed, ++n) sum += trace(seed);
  }
  state.counters["tokens_per_turn"] = sum / n;
}

std::size_t gib(std::int64_t n) { return static_cast<std::size_t>(n) << 30; }

void agent_turns(benchmark::State& state) {
  report(state, [&](unsigned seed) {
    return agents(gib(state.range(0)), static_cast<int>(state.range(1)), seed);
  });
}
BENCHMARK(agent_turns)->ArgNames({"GiB", "side"})->Args({2, 1})->Args({4, 1})->Args({4, 4});

void chat_turns(benchmark::State& state) {
  report(state, [&](unsigned seed) { return chats(gib(state.range(0)), seed); });
}
BENCHMARK(chat_turns)->ArgName("GiB")->Arg(2)->Arg(4)->Arg(8);

void rewound_turns(benchmark::State& state) {
  report(state, [&](unsigned seed) {
    return rewinds(gib(state.range(0)), static_cast<int>(state.range(1)), seed);
  });
}
BENCHMARK(rewound_turns)->ArgNames({"GiB", "side"})->Args({6, 20})->Args({6, 100});

}  // namespace

BENCHMARK_MAIN();
