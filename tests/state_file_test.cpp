// A timeline saved to a file and taken up by another engine goes on with the same bits: logits,
// what the MTP head drafts from, and everything after. And only by an engine with the same model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <random>

#include "base/error.h"
#include "cache/checkpoint_file.h"
#include "engine/session.h"
#include "engine/state_identity.h"
#include "tiny_model.h"

namespace foretoken {
namespace {

using engine::Engine;
using engine::Session;
using engine::SessionOptions;
using engine::SessionPools;
using quant::Type;

Engine make_engine(const std::string& file = "tiny-paw-Q4_K_M.gguf") {
  return Engine(
      {.model_path = testing::tiny_model(file), .n_threads = 2, .backend = {}, .progress = {}});
}

SessionOptions options(const cache::KvTypes& types) {
  SessionOptions out;
  out.n_context = 1024;
  out.kv_types = types;
  return out;
}

std::vector<TokenId> random_tokens(int n, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_int_distribution<TokenId> id(0, 2000);
  std::vector<TokenId> out(static_cast<std::size_t>(n));
  for (TokenId& token : out) token = id(random);
  return out;
}

struct StateFile {
  StateFile()
      : path((std::filesystem::temp_directory_path() /
              ("foretoken_state_" + std::to_string(::getpid()) + ".bin"))
                 .string()) {}
  ~StateFile() { std::filesystem::remove(path); }
  std::string path;
};

// What follows a state: logits of the next token, what the head makes of it, and greedy tokens
// with their logits, among them some of a draft that is only half accepted.
std::vector<float> what_follows(Session& session) {
  std::vector<float> out;
  const auto keep = [&](std::span<const float> values) {
    out.insert(out.end(), values.begin(), values.end());
  };
  for (int round = 0; round < 4; ++round) {
    const auto logits = session.last_logits();
    keep(logits);
    const TokenId next = testing::argmax(logits);
    if (session.has_mtp()) keep(session.mtp_begin(next));
    const std::vector<TokenId> tokens = {next, next + 1, next + 2};
    keep(session.run(tokens));
    session.commit(2);
  }
  session.prefill(random_tokens(70, 9));
  keep(session.last_logits());
  return out;
}

TEST(StateFile, GoesOnWithTheSameBitsInAnotherEngine) {
  for (const cache::KvTypes& types :
       {cache::KvTypes{Type::F16, Type::F16}, cache::KvTypes{Type::Q8_0, Type::Q4_0}}) {
    const StateFile file;
    std::vector<std::vector<float>> expected;
    std::vector<cache::CheckpointPtr> saved;
    {
      Engine engine = make_engine();
      const SessionPools pools = engine::make_session_pools(engine, options(types));
      Session session(engine, options(types), pools);
      // The third lies in the same page as the second.
      for (const int n : {1, 200, 20, 137}) {
        session.prefill(random_tokens(n, static_cast<unsigned>(n)));
        saved.push_back(session.take_checkpoint());
      }
      cache::write_checkpoints(file.path, engine::state_identity(engine, pools), saved);
      for (const cache::CheckpointPtr& checkpoint : saved) {
        session.restore(checkpoint);
        expected.push_back(what_follows(session));
      }
    }
    Engine engine = make_engine();
    const SessionPools pools = engine::make_session_pools(engine, options(types));
    const auto loaded = cache::read_checkpoints(file.path, engine::state_identity(engine, pools),
                                                pools.kv, pools.mtp_kv);
    ASSERT_EQ(loaded.checkpoints.size(), saved.size());
    EXPECT_EQ(loaded.result.n_tokens, 358U);
    Session session(engine, options(types), pools);
    ASSERT_TRUE(session.has_mtp());
    // Backwards, so that each state replaces a longer one.
    for (std::size_t i = saved.size(); i-- > 0;) {
      ASSERT_EQ(loaded.checkpoints[i]->tokens, saved[i]->tokens);
      session.restore(loaded.checkpoints[i]);
      EXPECT_EQ(what_follows(session), expected[i]) << saved[i]->tokens.size() << " tokens";
    }
  }
}

TEST(StateFile, BelongsToItsModelAndCacheTypes) {
  const cache::KvTypes types;
  const StateFile file;
  Engine engine = make_engine();
  const SessionPools pools = engine::make_session_pools(engine, options(types));
  Session session(engine, options(types), pools);
  session.prefill(random_tokens(10, 1));
  const std::vector<cache::CheckpointPtr> saved = {session.take_checkpoint()};
  cache::write_checkpoints(file.path, engine::state_identity(engine, pools), saved);
  const auto refusal = [&](Engine& other, const cache::KvTypes& other_types) -> std::string {
    const SessionPools its = engine::make_session_pools(other, options(other_types));
    try {
      cache::read_checkpoints(file.path, engine::state_identity(other, its), its.kv, its.mtp_kv);
    } catch (const UnsupportedError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(refusal(engine, types), "");
  EXPECT_THAT(refusal(engine, {Type::Q8_0, Type::F16}), ::testing::HasSubstr("--cache-type-k F16"));
  Engine other = make_engine("tiny-paw-BF16.gguf");
  EXPECT_THAT(refusal(other, types), ::testing::HasSubstr("saved with another model"));
}

}  // namespace
}  // namespace foretoken
