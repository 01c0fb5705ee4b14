// A timeline keeps its promises: however a sequence was cut into calls, rewound, checkpointed or
// drafted on, the logits that follow have the same bits.
#include "engine/session.h"

#include <gtest/gtest.h>

#include <random>

#include "base/error.h"
#include "tiny_model.h"

namespace foretoken {
namespace {

using cache::Checkpoint;
using cache::CheckpointPtr;
using engine::Engine;
using engine::Session;
using engine::SessionOptions;

Engine& shared_engine() {
  static Engine engine({.model_path = testing::tiny_model("tiny-paw-Q4_K_M.gguf"),
                        .n_threads = 2,
                        .backend = {},
                        .progress = {}});
  return engine;
}

std::vector<TokenId> random_tokens(int n, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_int_distribution<TokenId> id(0, 2000);
  std::vector<TokenId> out(static_cast<std::size_t>(n));
  for (TokenId& token : out) token = id(random);
  return out;
}

std::vector<float> copy(std::span<const float> values) { return {values.begin(), values.end()}; }

SessionOptions options(int n_batch = 512) {
  SessionOptions out;
  out.n_context = 1024;
  out.n_batch = n_batch;
  return out;
}

std::vector<float> logits_after(std::span<const TokenId> tokens, int n_batch = 512) {
  Session session(shared_engine(), options(n_batch));
  session.prefill(tokens);
  return copy(session.last_logits());
}

TEST(Session, PrefillDoesNotDependOnBatchSize) {
  const auto tokens = random_tokens(300, 1);
  const auto expected = logits_after(tokens);
  for (const int n_batch : {9, 16, 64, 100, 299}) {
    EXPECT_EQ(logits_after(tokens, n_batch), expected) << "batch " << n_batch;
  }
}

TEST(Session, PrefillEqualsTokenByToken) {
  const auto tokens = random_tokens(150, 2);
  Session session(shared_engine(), options());
  std::vector<float> last;
  for (const TokenId& token : tokens) {
    last = copy(session.run(std::span(&token, 1)));
    session.commit(1);
  }
  EXPECT_EQ(last, logits_after(tokens));
}

TEST(Session, PrefillDoesNotDependOnCallBoundaries) {
  const auto tokens = random_tokens(333, 3);
  const auto expected = logits_after(tokens);
  std::mt19937 random(4);
  for (int round = 0; round < 5; ++round) {
    Session session(shared_engine(), options());
    for (std::size_t at = 0; at < tokens.size();) {
      const std::size_t n = std::min<std::size_t>(1 + random() % 90, tokens.size() - at);
      session.prefill(std::span(tokens).subspan(at, n));
      at += n;
    }
    EXPECT_EQ(copy(session.last_logits()), expected);
  }
}

TEST(Session, RejectedTokensLeaveNoTrace) {
  // Runs with random wrong drafts and random numbers of them kept, against plain token by token.
  const auto tokens = random_tokens(120, 5);
  Session plain(shared_engine(), options());
  Session drafted(shared_engine(), options());
  plain.prefill(std::span(tokens).first(20));
  drafted.prefill(std::span(tokens).first(20));
  std::mt19937 random(6);
  for (std::size_t at = 20; at < tokens.size();) {
    const std::size_t n_right = std::min<std::size_t>(1 + random() % 8, tokens.size() - at);
    std::vector<TokenId> run(tokens.begin() + static_cast<std::ptrdiff_t>(at),
                             tokens.begin() + static_cast<std::ptrdiff_t>(at + n_right));
    while (run.size() < kernels::kMaxPending && random() % 3 != 0) {
      run.push_back(static_cast<TokenId>(random() % 2000));
    }
    const std::vector<float> logits = copy(drafted.run(run));
    drafted.commit(static_cast<int>(n_right));
    const std::size_t n_vocab = logits.size() / run.size();
    for (std::size_t i = 0; i < n_right; ++i, ++at) {
      const std::vector<float> expected = copy(plain.run(std::span(&tokens[at], 1)));
      plain.commit(1);
      const std::vector<float> got(logits.begin() + static_cast<std::ptrdiff_t>(i * n_vocab),
                                   logits.begin() + static_cast<std::ptrdiff_t>((i + 1) * n_vocab));
      ASSERT_EQ(got, expected) << "token " << at;
    }
  }
}

TEST(Session, RewindThenContinueEqualsNeverDrafted) {
  const auto tokens = random_tokens(60, 7);
  for (int kept = 0; kept <= kernels::kMaxPending; ++kept) {
    Session session(shared_engine(), options());
    session.prefill(std::span(tokens).first(30));
    session.run(random_tokens(kernels::kMaxPending, 8));
    session.commit(kernels::kMaxPending);
    session.rewind(30 + kept);
    std::vector<TokenId> whole(tokens.begin(), tokens.begin() + 30);
    const auto wrong = random_tokens(kernels::kMaxPending, 8);
    whole.insert(whole.end(), wrong.begin(), wrong.begin() + kept);
    EXPECT_EQ(std::vector<TokenId>(session.tokens().begin(), session.tokens().end()), whole);
    EXPECT_EQ(copy(session.last_logits()), logits_after(whole)) << "kept " << kept;
    session.prefill(std::span(tokens).subspan(30));
    whole.insert(whole.end(), tokens.begin() + 30, tokens.end());
    EXPECT_EQ(copy(session.last_logits()), logits_after(whole)) << "kept " << kept;
  }
}

TEST(Session, RewindBelowTheCommittedStateIsRefusedInWords) {
  Session session(shared_engine(), options());
  session.prefill(random_tokens(30, 9));
  EXPECT_THROW(session.rewind(29), RequestError);
  session.rewind(0);
  EXPECT_EQ(session.n_past(), 0);
}

TEST(Session, NewSequenceStartsFromNothing) {
  const auto first = random_tokens(50, 10);
  const auto second = random_tokens(40, 11);
  Session session(shared_engine(), options());
  session.prefill(first);
  session.run(std::span(first).first(3));
  session.commit(2);
  session.rewind(0);
  session.prefill(second);
  EXPECT_EQ(copy(session.last_logits()), logits_after(second));
}

TEST(Session, CheckpointRestoresEveryPart) {
  const auto tokens = random_tokens(90, 12);
  for (const int length : {1, 2, 3, 40}) {
    Session session(shared_engine(), options());
    session.prefill(std::span(tokens).first(static_cast<std::size_t>(length)));
    const CheckpointPtr checkpoint = session.take_checkpoint();
    const std::vector<float> at_checkpoint = copy(session.last_logits());
    session.prefill(std::span(tokens).subspan(static_cast<std::size_t>(length)));
    const std::vector<float> at_end = copy(session.last_logits());
    session.restore(checkpoint);
    EXPECT_EQ(session.n_past(), length);
    EXPECT_EQ(copy(session.last_logits()), at_checkpoint);
    session.prefill(std::span(tokens).subspan(static_cast<std::size_t>(length)));
    EXPECT_EQ(copy(session.last_logits()), at_end);
  }
}

TEST(Session, CheckpointMayBeTakenWhileTokensArePending) {
  const auto tokens = random_tokens(60, 13);
  Session session(shared_engine(), options());
  session.prefill(std::span(tokens).first(20));
  session.run(std::span(tokens).subspan(20, 6));
  session.commit(4);
  const CheckpointPtr checkpoint = session.take_checkpoint();
  session.prefill(std::span(tokens).subspan(24));
  EXPECT_EQ(copy(session.last_logits()), logits_after(tokens));
  session.restore(checkpoint);
  session.prefill(std::span(tokens).subspan(24));
  EXPECT_EQ(copy(session.last_logits()), logits_after(tokens));
}

TEST(Session, CheckpointOutlivesWhatTheSessionDoesNext) {
  const auto tokens = random_tokens(140, 14);
  for (const std::size_t length : {40, 64, 65, 129}) {
    Session session(shared_engine(), options());
    session.prefill(std::span(tokens).first(length));
    const CheckpointPtr checkpoint = session.take_checkpoint();
    session.rewind(0);
    session.prefill(random_tokens(150, 15));
    session.restore(checkpoint);
    session.prefill(std::span(tokens).subspan(length));
    EXPECT_EQ(copy(session.last_logits()), logits_after(tokens)) << length;
  }
}

TEST(Session, RestoreIsRefusedInWordsWhereItCannotBe) {
  Session session(shared_engine(), options());
  session.prefill(random_tokens(40, 14));
  const CheckpointPtr checkpoint = session.take_checkpoint();
  SessionOptions small = options();
  small.n_context = 39;
  SessionOptions other_types = options();
  other_types.kv_types = {quant::Type::Q8_0, quant::Type::F16};
  for (const SessionOptions& refusing : {small, other_types}) {
    Session other(shared_engine(), refusing);
    other.prefill(random_tokens(5, 15));
    EXPECT_FALSE(other.can_restore(*checkpoint));
    EXPECT_THROW(other.restore(checkpoint), RequestError);
    EXPECT_EQ(other.n_past(), 5);
  }
  SessionOptions headless = options();
  headless.use_mtp = false;
  Session plain(shared_engine(), headless);
  plain.prefill(random_tokens(40, 14));
  EXPECT_THROW(session.restore(plain.take_checkpoint()), RequestError);
  plain.restore(checkpoint);  // what the head has, a session without it does not need
  EXPECT_EQ(copy(plain.last_logits()), logits_after(random_tokens(40, 14)));
}

TEST(Session, SyncReusesPrefixesAndChangesNoBit) {
  const auto first = random_tokens(100, 16);
  Session session(shared_engine(), options());
  EXPECT_EQ(session.sync(first).n_reused, 0);
  // The reply, then a next turn that extends it.
  session.run(random_tokens(3, 17));
  session.commit(2);
  auto second = first;
  const auto reply = random_tokens(3, 17);
  second.insert(second.end(), reply.begin(), reply.begin() + 2);
  const auto more = random_tokens(30, 18);
  second.insert(second.end(), more.begin(), more.end());
  EXPECT_EQ(session.sync(second).n_reused, 102);
  EXPECT_EQ(copy(session.last_logits()), logits_after(second));
  // A different continuation of the first prompt comes from its checkpoint.
  auto third = first;
  third.insert(third.end(), more.rbegin(), more.rend());
  EXPECT_EQ(session.sync(third).n_reused, 100);
  EXPECT_EQ(copy(session.last_logits()), logits_after(third));
  // The same prompt again costs nothing; another one starts afresh.
  EXPECT_EQ(session.sync(third).n_processed, 0);
  const auto other = random_tokens(50, 19);
  EXPECT_EQ(session.sync(other).n_reused, 0);
  EXPECT_EQ(copy(session.last_logits()), logits_after(other));
}

TEST(Session, MtpDraftsDoNotDependOnHowThePromptWasCut) {
  const auto tokens = random_tokens(200, 20);
  Session whole(shared_engine(), options());
  whole.prefill(tokens);
  const std::vector<float> expected = copy(whole.mtp_begin(42));
  for (const int n_batch : {9, 33, 128}) {
    Session session(shared_engine(), options(n_batch));
    session.prefill(tokens);
    EXPECT_EQ(copy(session.mtp_begin(42)), expected);
  }
  Session slow(shared_engine(), options());
  for (const TokenId& token : tokens) {
    slow.run(std::span(&token, 1));
    slow.commit(1);
  }
  EXPECT_EQ(copy(slow.mtp_begin(42)), expected);
}

TEST(Session, ReplacedNextTokenIsReadAgainByTheHead) {
  const auto tokens = random_tokens(50, 21);
  Session drafted(shared_engine(), options());
  drafted.prefill(std::span(tokens).first(40));
  drafted.mtp_begin(7);
  drafted.mtp_continue(8);
  drafted.prefill(std::span(tokens).subspan(40));
  Session plain(shared_engine(), options());
  plain.prefill(tokens);
  EXPECT_EQ(copy(drafted.mtp_begin(3)), copy(plain.mtp_begin(3)));
}

TEST(Session, RefusesTooManyTokensAndForeignIds) {
  SessionOptions small;
  small.n_context = 16;
  Session session(shared_engine(), small);
  EXPECT_THROW(session.prefill(random_tokens(17, 22)), RequestError);
  const std::vector<TokenId> foreign = {1, 2, 2048};
  EXPECT_THROW(session.prefill(foreign), RequestError);
  const std::vector<TokenId> negative = {-1};
  EXPECT_THROW(session.run(negative), RequestError);
  session.prefill(random_tokens(16, 23));
  EXPECT_EQ(session.room(), 0);
  EXPECT_THROW(session.run(random_tokens(1, 24)), RequestError);
}

}  // namespace
}  // namespace foretoken
