// Company changes nothing: whoever else is in a pass, and wherever a session's state came from, its
// logits, drafts and text have the same bits as alone.
#include "engine/batch.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "base/error.h"
#include "engine/generate.h"
#include "tiny_model.h"

namespace foretoken {
namespace {

using cache::Checkpoint;
using cache::CheckpointPtr;
using engine::Batch;
using engine::BatchOutput;
using engine::BatchPart;
using engine::Engine;
using engine::Session;
using engine::SessionOptions;
using engine::SessionPools;

Engine& shared_engine() {
  static Engine engine({.model_path = testing::tiny_model("tiny-paw-Q4_K_M.gguf"),
                        .n_threads = 2,
                        .backend = {},
                        .progress = {}});
  return engine;
}

std::vector<TokenId> random_tokens(int n, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<TokenId> out(static_cast<std::size_t>(n));
  for (TokenId& token : out) token = static_cast<TokenId>(random() % 2000);
  return out;
}

std::vector<float> copy(std::span<const float> values) { return {values.begin(), values.end()}; }

std::size_t z(int n) { return static_cast<std::size_t>(n); }

SessionOptions options(cache::KvTypes kv_types = {}) {
  SessionOptions out;
  out.n_context = 1024;
  out.n_batch = 256;
  out.kv_types = kv_types;
  return out;
}

BatchPart prompt_part(Session& session, std::span<const TokenId> tokens,
                      std::span<const int> checkpoints_at = {}) {
  return {&session, BatchPart::Kind::Prompt, tokens, checkpoints_at};
}

BatchPart verify_part(Session& session, std::span<const TokenId> tokens) {
  return {&session, BatchPart::Kind::Verify, tokens};
}

engine::GenerateResult greedy(Session& session, int depth, int n_tokens = 24) {
  sampling::SamplingParams sampling;
  sampling.temperature = 0.0F;
  engine::SpeculationOptions speculation;
  speculation.type = depth == 0 ? engine::SpeculationOptions::Type::None
                                : engine::SpeculationOptions::Type::DraftMtp;
  speculation.limits.n_max = depth;
  speculation.adaptive = false;
  engine::Generator generator(session, sampling, speculation);
  generator.observe_prompt();
  return generator.generate({.max_tokens = n_tokens, .ignore_end = true});
}

// A text that a session goes through, and what the target says at each position, found out alone.
struct Text {
  std::vector<TokenId> tokens;
  std::vector<float> logits;  // [tokens, n_vocab]

  Text(int n, unsigned seed, cache::KvTypes kv_types) : tokens(random_tokens(n, seed)) {
    Session alone(shared_engine(), options(kv_types));
    alone.prefill_with_logits(tokens, [&](int, int, std::span<const float> rows) {
      logits.insert(logits.end(), rows.begin(), rows.end());
    });
  }
  std::span<const float> after(std::size_t i) const {
    const std::size_t n_vocab = logits.size() / tokens.size();
    return std::span(logits).subspan(i * n_vocab, n_vocab);
  }
};

// Walks through a text: a prompt in random pieces, then runs with wrong drafts at their ends.
class Walker {
 public:
  Walker(const Text& text, std::size_t n_prompt, const SessionPools& pools, cache::KvTypes kv_types)
      : text_(text), n_prompt_(n_prompt), session_(shared_engine(), options(kv_types), pools) {}

  bool done() const { return at() == text_.tokens.size(); }
  Session& session() { return session_; }

  BatchPart next(std::mt19937& random, std::size_t most) {
    const auto rest = std::span(text_.tokens).subspan(at());
    if (at() < n_prompt_) {
      n_right_ = std::min({z(static_cast<int>(1 + random() % 90)), n_prompt_ - at(), most});
      return prompt_part(session_, rest.first(n_right_));
    }
    n_right_ = std::min({1 + random() % 5, rest.size(), most});
    run_.assign(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(n_right_));
    // A draft step in between, as generation does it; it shares the pass's memory.
    session_.mtp_begin(run_[0]);
    session_.mtp_continue(run_.size() > 1 ? run_[1] : 7);
    while (run_.size() < std::min<std::size_t>(most, kernels::kMaxPending) && random() % 3 != 0) {
      run_.push_back(static_cast<TokenId>(random() % 2000));
    }
    return verify_part(session_, run_);
  }

  void check(const BatchPart& part, const BatchOutput& output) {
    if (part.kind == BatchPart::Kind::Prompt) {
      EXPECT_TRUE(output.logits.empty());
      return;
    }
    const std::size_t n_vocab = output.logits.size() / part.tokens.size();
    for (std::size_t i = 0; i < n_right_; ++i) {
      ASSERT_TRUE(
          std::ranges::equal(output.logits.subspan(i * n_vocab, n_vocab), text_.after(at() + i)))
          << "position " << at() + i;
    }
    session_.commit(static_cast<int>(n_right_));
  }

 private:
  std::size_t at() const { return session_.tokens().size(); }

  const Text& text_;
  std::size_t n_prompt_;
  Session session_;
  std::size_t n_right_ = 0;
  std::vector<TokenId> run_;
};

class BatchOfSessions : public ::testing::TestWithParam<cache::KvTypes> {};

TEST_P(BatchOfSessions, EveryoneHasTheBitsItHasAlone) {
  std::vector<Text> texts;
  const int lengths[] = {260, 90, 33, 150, 70};
  const std::size_t n_prompts[] = {200, 64, 1, 130, 2};
  for (unsigned i = 0; i < std::size(lengths); ++i) texts.emplace_back(lengths[i], i, GetParam());
  const SessionPools pools = engine::make_session_pools(shared_engine(), options(GetParam()));
  std::vector<std::unique_ptr<Walker>> walkers;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    walkers.push_back(std::make_unique<Walker>(texts[i], n_prompts[i], pools, GetParam()));
  }
  std::mt19937 random(1);
  while (true) {
    std::vector<Walker*> present;
    std::vector<BatchPart> parts;
    std::size_t room = 130;
    for (const auto& walker : walkers) {
      if (walker->done() || room == 0 || random() % 4 == 0) continue;
      present.push_back(walker.get());
      parts.push_back(walker->next(random, room));
      room -= parts.back().tokens.size();
    }
    const std::vector<BatchOutput> outputs = pools.batch->run(parts);
    ASSERT_EQ(outputs.size(), parts.size());
    for (std::size_t i = 0; i < parts.size(); ++i) present[i]->check(parts[i], outputs[i]);
    if (HasFatalFailure()) return;
    if (std::ranges::all_of(walkers, [](const auto& walker) { return walker->done(); })) break;
  }
  // And so have the texts that follow, drafts and their acceptance included.
  for (std::size_t i = 0; i < texts.size(); ++i) {
    Session alone(shared_engine(), options(GetParam()));
    alone.prefill(texts[i].tokens);
    const engine::GenerateResult want = greedy(alone, 3);
    const engine::GenerateResult got = greedy(walkers[i]->session(), 3);
    EXPECT_EQ(got.tokens, want.tokens);
    EXPECT_EQ(got.stats.drafted_at, want.stats.drafted_at);
    EXPECT_EQ(got.stats.accepted_at, want.stats.accepted_at);
  }
}

INSTANTIATE_TEST_SUITE_P(KvTypes, BatchOfSessions,
                         ::testing::Values(cache::KvTypes{quant::Type::F16, quant::Type::F16},
                                           cache::KvTypes{quant::Type::F32, quant::Type::BF16},
                                           cache::KvTypes{quant::Type::Q8_0, quant::Type::Q4_0}),
                         [](const auto& param) {
                           return std::string(quant::type_info(param.param.key).name) + "_" +
                                  std::string(quant::type_info(param.param.value).name);
                         });

// Equal in every part that a sequence goes on from.
void expect_same(const Checkpoint& a, const Checkpoint& b) {
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_EQ(a.hidden, b.hidden);
  EXPECT_EQ(copy(a.recurrent.s.span()), copy(b.recurrent.s.span()));
  EXPECT_EQ(copy(a.recurrent.conv.span()), copy(b.recurrent.conv.span()));
  EXPECT_EQ(a.kv.size(), b.kv.size());
  EXPECT_EQ(a.mtp_kv.size(), b.mtp_kv.size());
}

TEST(Checkpoints, TakenOnTheWayEqualThoseTakenAtTheEnd) {
  const std::vector<TokenId> tokens = random_tokens(200, 3);
  const std::vector<int> points = {21, 22, 64, 65, 130, 200};
  const SessionPools pools = engine::make_session_pools(shared_engine(), options());
  Session session(shared_engine(), options(), pools);
  Session neighbour(shared_engine(), options(), pools);
  neighbour.prefill(random_tokens(10, 4));
  // Twenty tokens first, some of them not yet folded: the way starts with a fold.
  session.prefill(std::span(tokens).first(15));
  session.run(std::span(tokens).subspan(15, 7));
  session.commit(5);
  const auto run = random_tokens(4, 5);
  const std::vector<BatchPart> parts = {prompt_part(session, std::span(tokens).subspan(20), points),
                                        verify_part(neighbour, run)};
  const std::vector<CheckpointPtr> taken = pools.batch->run(parts)[0].checkpoints;
  ASSERT_EQ(taken.size(), points.size());
  for (std::size_t i = 0; i < points.size(); ++i) {
    const auto n = z(points[i]);
    Session straight(shared_engine(), options());
    straight.prefill(std::span(tokens).first(n));
    expect_same(*taken[i], *straight.take_checkpoint());
    // The pages too: what follows has the same bits, the head's drafts included.
    Session restored(shared_engine(), options(), pools);
    restored.restore(taken[i]);
    EXPECT_EQ(copy(restored.last_logits()), copy(straight.last_logits()));
    restored.prefill(std::span(tokens).subspan(n));
    straight.prefill(std::span(tokens).subspan(n));
    EXPECT_EQ(copy(restored.last_logits()), copy(straight.last_logits()));
    EXPECT_EQ(copy(restored.mtp_begin(5)), copy(straight.mtp_begin(5)));
    EXPECT_EQ(copy(restored.mtp_continue(6)), copy(straight.mtp_continue(6)));
  }
}

TEST(Checkpoints, TextGoesOnInAnotherSessionWithTheSameBitsAndDrafts) {
  for (const quant::Type type : {quant::Type::F32, quant::Type::F16, quant::Type::BF16,
                                 quant::Type::Q8_0, quant::Type::Q4_0}) {
    const cache::KvTypes types{type, type};
    const auto tasks = testing::read_goldens("../acceptance/paw.json");
    const auto prompt = tasks[0].at("prompts").at(0).get<std::vector<TokenId>>();
    const SessionPools pools = engine::make_session_pools(shared_engine(), options(types));
    Session first(shared_engine(), options(types), pools);
    first.prefill(prompt);
    greedy(first, 2, 9);  // tokens of runs, the head behind or ahead
    const CheckpointPtr checkpoint = first.take_checkpoint();
    const engine::GenerateResult want = greedy(first, 3);
    // In a session of the same pools, in one of its own, and in the first again.
    Session second(shared_engine(), options(types), pools);
    Session third(shared_engine(), options(types));
    for (Session* session : {&second, &third, &first}) {
      session->restore(checkpoint);
      const engine::GenerateResult got = greedy(*session, 3);
      EXPECT_EQ(got.tokens, want.tokens);
      EXPECT_EQ(got.stats.drafted_at, want.stats.drafted_at);
      EXPECT_EQ(got.stats.accepted_at, want.stats.accepted_at);
    }
    EXPECT_GT(want.stats.accepted, 0);
  }
}

TEST(Checkpoints, SessionsFromOneDivergeWithoutHarm) {
  const SessionPools pools = engine::make_session_pools(shared_engine(), options());
  const std::vector<TokenId> common = random_tokens(100, 6);  // ends inside a page
  Session first(shared_engine(), options(), pools);
  first.prefill(common);
  const CheckpointPtr checkpoint = first.take_checkpoint();
  std::vector<std::unique_ptr<Session>> sessions;
  for (int i = 0; i < 3; ++i) {
    sessions.push_back(std::make_unique<Session>(shared_engine(), options(), pools));
    sessions.back()->restore(checkpoint);
  }
  // In turns, so that each writes after the others have.
  std::vector<std::vector<TokenId>> texts(3, common);
  for (int round = 0; round < 5; ++round) {
    for (unsigned i = 0; i < 3; ++i) {
      const std::vector<TokenId> more = random_tokens(11, 10 * i + static_cast<unsigned>(round));
      texts[i].insert(texts[i].end(), more.begin(), more.end());
      sessions[i]->prefill(more);
    }
  }
  for (std::size_t i = 0; i < 3; ++i) {
    Session alone(shared_engine(), options());
    alone.prefill(texts[i]);
    EXPECT_EQ(copy(sessions[i]->last_logits()), copy(alone.last_logits()));
    EXPECT_EQ(copy(sessions[i]->mtp_begin(1)), copy(alone.mtp_begin(1)));
  }
  // The checkpoint still is what it was.
  Session late(shared_engine(), options(), pools);
  late.restore(checkpoint);
  Session alone(shared_engine(), options());
  alone.prefill(common);
  EXPECT_EQ(greedy(late, 3).tokens, greedy(alone, 3).tokens);
}

TEST(Checkpoints, ShareTheirPagesWithTheSession) {
  const SessionPools pools = engine::make_session_pools(shared_engine(), options());
  Session session(shared_engine(), options(), pools);
  session.prefill(random_tokens(300, 7));  // five pages, the last one begun
  EXPECT_EQ(pools.kv->n_used(), 5);
  const CheckpointPtr first = session.take_checkpoint();
  Session other(shared_engine(), options(), pools);
  other.restore(first);
  EXPECT_EQ(pools.kv->n_used(), 5);
  other.prefill(random_tokens(3, 8));
  EXPECT_EQ(pools.kv->n_used(), 6);  // its own copy of the last page
  EXPECT_EQ(pools.mtp_kv->n_used(), 6);
  other.rewind(0);
  session.rewind(0);
  EXPECT_EQ(pools.kv->n_used(), 5);  // the checkpoint's
}

TEST(Batch, SplitsTheHeadsWorkWhereItLagsBehindAFullPass) {
  // Forty runs leave the head behind; then a prompt fills the batch to the last row.
  const std::vector<TokenId> tokens = random_tokens(140, 9);
  SessionOptions narrow = options();
  narrow.n_batch = 64;
  const SessionPools pools = engine::make_session_pools(shared_engine(), narrow);
  Session first(shared_engine(), narrow, pools);
  Session second(shared_engine(), narrow, pools);
  for (Session* session : {&first, &second}) {
    for (std::size_t i = 0; i < 40; ++i) {
      session->run(std::span(tokens).subspan(i, 1));
      session->commit(1);
    }
  }
  for (std::size_t at = 40; at < tokens.size(); at += 20) {
    const auto chunk = std::span(tokens).subspan(at, 20);
    pools.batch->run(std::vector{prompt_part(first, chunk), prompt_part(second, chunk)});
  }
  Session alone(shared_engine(), options());
  alone.prefill(tokens);
  const std::vector<float> want = copy(alone.mtp_begin(4));
  EXPECT_EQ(copy(first.mtp_begin(4)), want);
  EXPECT_EQ(copy(second.mtp_begin(4)), want);
}

TEST(Batch, DraftStepsTogetherHaveTheBitsOfDraftStepsAlone) {
  SessionOptions narrow = options();
  narrow.n_batch = 64;
  const SessionPools pools = engine::make_session_pools(shared_engine(), narrow);
  std::vector<std::unique_ptr<Session>> together;
  std::vector<std::unique_ptr<Session>> alone;
  // Heads that lag by 0, 25 and 50 pairs: more together than the batch has rows.
  for (const int lag : {0, 25, 50, 0}) {
    const std::vector<TokenId> prompt = random_tokens(70 + lag, static_cast<unsigned>(lag + 20));
    together.push_back(std::make_unique<Session>(shared_engine(), narrow, pools));
    alone.push_back(std::make_unique<Session>(shared_engine(), narrow));
    for (Session* session : {together.back().get(), alone.back().get()}) {
      session->prefill(std::span(prompt).first(70));
      for (std::size_t i = 70; i < prompt.size(); ++i) {
        session->run(std::span(prompt).subspan(i, 1));
        session->commit(1);
      }
    }
  }
  const std::size_t width = z(shared_engine().config().d_model);
  // The second round begins anew for some and goes on for others.
  for (int round = 0; round < 3; ++round) {
    std::vector<engine::DraftStep> steps;
    std::vector<std::vector<float>> want;
    for (std::size_t i = 0; i < together.size(); ++i) {
      const bool begin = round == 0 || (i + z(round)) % 2 == 0;
      const auto token = static_cast<TokenId>(100 * round) + static_cast<TokenId>(i);
      steps.push_back({together[i].get(), token,
                       begin ? engine::DraftStep::Kind::Begin : engine::DraftStep::Kind::Continue});
      want.push_back(copy(begin ? alone[i]->mtp_begin(token) : alone[i]->mtp_continue(token)));
    }
    const std::span<const float> got = pools.batch->mtp_step(steps);
    ASSERT_EQ(got.size(), together.size() * width);
    for (std::size_t i = 0; i < together.size(); ++i) {
      EXPECT_EQ(copy(got.subspan(i * width, width)), want[i]) << "round " << round << ", " << i;
    }
  }
  for (std::size_t i = 0; i < together.size(); ++i) {
    EXPECT_EQ(greedy(*together[i], 3).tokens, greedy(*alone[i], 3).tokens);
  }
}

TEST(Batch, RefusedPassesChangeNothing) {
  const SessionPools pools = engine::make_session_pools(shared_engine(), options());
  Session first(shared_engine(), options(), pools);
  Session second(shared_engine(), options(), pools);
  const std::vector<TokenId> prompt = random_tokens(30, 10);
  first.prefill(prompt);
  second.prefill(prompt);
  const std::vector<float> before = copy(first.last_logits());
  const std::vector<TokenId> good = {1, 2, 3};
  const std::vector<TokenId> foreign = {1, 2, 2048};
  const std::vector<TokenId> many(2000, 1);
  const std::vector<TokenId> ten(10, 1);
  const std::vector<int> low = {30};
  const std::vector<int> high = {34};
  const std::vector<int> descending = {32, 31};
  const BatchPart fine = verify_part(first, good);
  const std::vector<std::vector<BatchPart>> refused = {
      {fine, verify_part(second, foreign)},
      {fine, prompt_part(second, many)},
      {fine, prompt_part(second, {})},
      {fine, verify_part(second, ten)},
      {fine, verify_part(first, good)},
      {fine, prompt_part(second, good, low)},
      {fine, prompt_part(second, good, high)},
      {fine, prompt_part(second, good, descending)},
      {fine, {&second, BatchPart::Kind::Verify, good, std::span(high)}},
  };
  for (const std::vector<BatchPart>& parts : refused) {
    EXPECT_THROW(pools.batch->run(parts), RequestError);
    EXPECT_EQ(first.n_past(), 30);
    EXPECT_EQ(second.n_past(), 30);
  }
  EXPECT_EQ(copy(first.last_logits()), before);
  EXPECT_TRUE(pools.batch->run({}).empty());
  EXPECT_THROW(Batch(shared_engine(), 0), RequestError);
  EXPECT_THROW(Batch(shared_engine(), 65537), RequestError);
}

TEST(Batch, RefusesPoolsOfAnotherKind) {
  SessionOptions other = options({quant::Type::Q8_0, quant::Type::Q8_0});
  EXPECT_THROW(
      Session(shared_engine(), options(), engine::make_session_pools(shared_engine(), other)),
      RequestError);
  SessionOptions headless = options();
  headless.use_mtp = false;
  EXPECT_THROW(
      Session(shared_engine(), options(), engine::make_session_pools(shared_engine(), headless)),
      RequestError);
  EXPECT_THROW(Session(shared_engine(), options(), {}), RequestError);
  Engine second({.model_path = testing::tiny_model("tiny-paw-Q4_K_M.gguf"),
                 .n_threads = 1,
                 .backend = {},
                 .progress = {}});
  const SessionPools pools = engine::make_session_pools(second, options());
  EXPECT_THROW(Session(shared_engine(), options(), pools), RequestError);
  Session session(second, options(), pools);
  const std::vector<TokenId> tokens = {1, 2, 3};
  EXPECT_THROW(engine::make_session_pools(shared_engine(), options())
                   .batch->run(std::vector{prompt_part(session, tokens)}),
               RequestError);
}

}  // namespace
}  // namespace foretoken
