// Cases of the prefix cache, and what a server needs of it: side requests, branches, cut
// transcripts, small bounds.
#include "cache/prefix_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "base/error.h"
#include "cache/checkpoint_plan.h"
#include "cache/light_checkpoints.h"

namespace foretoken::cache {
namespace {

using namespace light;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAreArray;

TEST(PrefixCache, AnEmptyOneHasNothing) {
  PrefixCache cache(options(1000));
  EXPECT_EQ(cache.find(numbers(0, 5), 5), nullptr);
  EXPECT_EQ(cache.find({}, 0), nullptr);
  EXPECT_EQ(cache.common_prefix(numbers(0, 5)), 0U);
  EXPECT_THAT(cache.path(numbers(0, 5)), IsEmpty());
  EXPECT_THAT(cache.all(), IsEmpty());
  EXPECT_EQ(cache.erase(numbers(0, 5)), 0);
  EXPECT_EQ(cache.stats().bytes, 0U);
  EXPECT_EQ(cache.stats().misses, 2U);
}

TEST(PrefixCache, FindsTheDeepestWithinTheLimit) {
  PrefixCache cache(options(1 << 20));
  const auto deep = make_checkpoint(numbers(0, 200));
  const auto shallow = make_checkpoint(numbers(0, 100), deep.get());
  cache.insert(deep);
  cache.insert(shallow);
  const Tokens prompt = numbers(0, 300);
  EXPECT_EQ(cache.find(prompt, 300), deep);
  EXPECT_EQ(cache.find(prompt, 200), deep);
  EXPECT_EQ(cache.find(prompt, 199), shallow);
  EXPECT_EQ(cache.find(prompt, 99), nullptr);
  EXPECT_EQ(cache.find(numbers(0, 150), 150), shallow);
  EXPECT_EQ(cache.common_prefix(numbers(0, 150)), 150U);
  EXPECT_EQ(cache.find(numbers(1, 150), 150), nullptr);
}

TEST(PrefixCache, ReplacesTheSameTokens) {
  PrefixCache cache(options(1 << 20));
  const auto first = make_checkpoint(numbers(0, 100));
  const auto second = make_checkpoint(numbers(0, 100), nullptr, 2000);
  cache.insert(first);
  cache.insert(second);
  EXPECT_THAT(cache.all(), ElementsAre(second));
  EXPECT_EQ(cache.stats().bytes, bytes_of(*second));
  EXPECT_EQ(cache.stats().evictions, 0U);
  cache.insert(second);
  EXPECT_THAT(cache.all(), ElementsAre(second));
  EXPECT_EQ(cache.stats().bytes, bytes_of(*second));
}

TEST(PrefixCache, CountsSharedPagesOnce) {
  PrefixCache cache(options(1 << 20));
  const auto a = make_checkpoint(numbers(0, 640));
  const auto b = make_checkpoint(numbers(0, 700), a.get());  // ten full pages are a's
  cache.insert(a);
  cache.insert(b);
  EXPECT_EQ(cache.stats().bytes, bytes_of(*a) + b->own_bytes() + kPageBytes + kMtpPageBytes);
  EXPECT_EQ(cache.erase(numbers(0, 700)), 2);
  EXPECT_EQ(cache.stats().bytes, 0U);
}

TEST(PrefixCache, AcceptsAPageThatIsNamedTwice) {
  PrefixCache cache(options(0, 2));
  const auto a = make_checkpoint(numbers(0, 200));
  const auto odd = make_checkpoint(numbers(500, 200));
  odd->kv = {a->kv[0], a->kv[0], a->kv[1], odd->kv[0], odd->kv[0]};
  cache.insert(a);
  cache.insert(odd);
  EXPECT_EQ(cache.stats().bytes,
            bytes_of(*a) + odd->own_bytes() + kPageBytes + odd->mtp_kv.size() * kMtpPageBytes);
  cache.insert(make_checkpoint(numbers(1000, 10)));
  cache.insert(make_checkpoint(numbers(2000, 10)));
  EXPECT_EQ(cache.stats().n_checkpoints, 2);
  cache.clear();
  EXPECT_EQ(cache.stats().bytes, 0U);
}

TEST(PrefixCache, KeepsTheNewestWhateverTheBound) {
  PrefixCache cache(options(0, 2));
  std::vector<CheckpointPtr> made;
  for (int i = 0; i < 5; ++i) {
    made.push_back(make_checkpoint(numbers(0, 100U * static_cast<unsigned>(5 - i))));
    EXPECT_TRUE(cache.insert(made.back()));
  }
  EXPECT_THAT(cache.all(), UnorderedElementsAreArray({made[3], made[4]}));
  EXPECT_EQ(cache.stats().evictions, 3U);
}

TEST(PrefixCache, RefusesWhatAloneExceedsTheBound) {
  PrefixCache cache(options(20'000, 0));
  const auto small = make_checkpoint(numbers(0, 100));
  EXPECT_TRUE(cache.insert(small));
  EXPECT_FALSE(cache.insert(make_checkpoint(numbers(0, 300))));
  EXPECT_THAT(cache.all(), ElementsAre(small));
}

TEST(PrefixCache, ErasesOnlyWhatNothingElseContinues) {
  PrefixCache cache(options(1 << 20));
  const Tokens preamble = numbers(0, 100);
  const Tokens mine = joined(preamble, numbers(1000, 100));
  const Tokens other = joined(preamble, numbers(2000, 100));
  cache.insert(make_checkpoint(preamble));
  cache.insert(make_checkpoint(mine));
  cache.insert(make_checkpoint(joined(mine, numbers(0, 50))));
  cache.insert(make_checkpoint(other));
  EXPECT_EQ(cache.erase(mine), 0) << "a longer one goes on from there";
  EXPECT_EQ(cache.erase(joined(mine, numbers(0, 60))), 2);
  EXPECT_EQ(cache.erase(other), 2);
  EXPECT_EQ(cache.stats().n_checkpoints, 0);
  EXPECT_EQ(cache.common_prefix(preamble), 0U);
}

TEST(PrefixCache, RefusesWhatHasNoTokens) {
  PrefixCache cache(options(1000));
  EXPECT_THROW(cache.insert(nullptr), RequestError);
  EXPECT_THROW(cache.insert(std::make_shared<Checkpoint>()), RequestError);
}

// A chain of nodes as long as this one must not be destroyed recursively.
TEST(PrefixCache, HoldsAVeryLongChain) {
  constexpr std::size_t kDepth = 3000;
  PrefixCache cache(options(std::size_t{1} << 40));
  for (std::size_t n = 1; n <= kDepth; ++n) {
    auto c = std::make_shared<Checkpoint>();
    c->tokens.assign(n, 1);
    cache.insert(c);
  }
  EXPECT_EQ(cache.stats().n_checkpoints, static_cast<int>(kDepth));
  EXPECT_EQ(cache.path(Tokens(kDepth, 1)).size(), kDepth);
  EXPECT_EQ(cache.erase(Tokens(kDepth, 1)), static_cast<int>(kDepth));
  EXPECT_EQ(cache.stats().bytes, 0U);
}

// ---- What a server needs of the policy. ----

// A conversation of 20 turns of about 300 tokens with a checkpoint after each; state and pages have
// the proportions of a 9B model in f16 (state = 1460 tokens of keys and values).
const std::size_t kStateFloats = 1460 * kPageBytes / kPositions / sizeof(float);

std::vector<CheckpointPtr> conversation(TokenId first, std::size_t n_turns, std::size_t n_turn) {
  std::vector<CheckpointPtr> out;
  for (std::size_t turn = 1; turn <= n_turns; ++turn) {
    out.push_back(make_checkpoint(numbers(first, turn * n_turn),
                                  out.empty() ? nullptr : out.back().get(), kStateFloats));
  }
  return out;
}

TEST(PrefixCache, SideRequestsLeaveALongConversation) {
  const auto turns = conversation(0, 20, 300);
  std::size_t bytes = bytes_of(*turns.back());
  for (const CheckpointPtr& turn : turns) bytes += turn->own_bytes();
  PrefixCache cache(options(bytes + 5 * bytes_of(*conversation(0, 1, 100).back())));
  for (const CheckpointPtr& turn : turns) {
    cache.find(turn->tokens, turn->tokens.size() - 1);
    cache.insert(turn);
  }
  const Tokens next = numbers(0, 20 * 300 + 50);
  for (int i = 0; i < 100; ++i) {
    // A title, a tag list, a check: short, new every time, and between them the conversation waits.
    ASSERT_TRUE(cache.insert(conversation(100'000 + 1000 * i, 1, 100).back()));
  }
  EXPECT_EQ(cache.find(next, next.size()), turns.back());
  // And every turn can still be edited at the cost of that turn.
  for (std::size_t turn = 1; turn <= turns.size(); ++turn) {
    EXPECT_EQ(cache.find(next, turn * 300), turns[turn - 1]) << turn;
  }
}

TEST(PrefixCache, ABranchedConversationKeepsBothBranches) {
  PrefixCache cache(options(std::size_t{1} << 30));
  const auto turns = conversation(0, 10, 300);
  for (const CheckpointPtr& turn : turns) cache.insert(turn);
  // Turn 6 is written anew.
  const Tokens edited = joined(numbers(0, 5 * 300), numbers(50'000, 300));
  ASSERT_EQ(cache.find(edited, edited.size()), turns[4]);
  const auto branch = make_checkpoint(edited, turns[4].get(), kStateFloats);
  cache.insert(branch);
  EXPECT_EQ(cache.find(joined(edited, {1}), 5000), branch);
  EXPECT_EQ(cache.find(numbers(0, 3100), 3100), turns.back());
}

// A conversation as a client sends it again and again, with checkpoints where plan_checkpoints
// wants them and at the end of each reply.
struct Transcript {
  static constexpr TokenId kTurn = 1;
  static constexpr int kMinStep = 256;

  Tokens message(std::size_t n) {
    Tokens out = {kTurn};
    for (std::size_t i = 1; i < n; ++i) out.push_back(2 + static_cast<TokenId>(random() % 100'000));
    return out;
  }

  // Processes a prompt and a reply of n_reply tokens; returns the prompt tokens processed.
  std::size_t process(const Tokens& prompt, std::size_t n_reply, Tokens* sequence = nullptr) {
    const CheckpointPtr found = cache.find(prompt, prompt.size() - 1);
    const std::size_t n_cached = found == nullptr ? 0 : found->tokens.size();
    Tokens all = prompt;
    for (std::size_t i = 0; i < n_reply; ++i) {
      all.push_back(2 + static_cast<TokenId>(random() % 100'000));
    }
    const auto end = make_checkpoint(all, found.get());
    for (const int at : plan_checkpoints(prompt, kTurn, static_cast<int>(n_cached), kMinStep)) {
      cache.insert(make_checkpoint({all.begin(), all.begin() + at}, end.get()));
    }
    cache.insert(end);
    if (sequence != nullptr) *sequence = all;
    return prompt.size() - n_cached;
  }

  std::size_t cached(const Tokens& prompt) {
    const CheckpointPtr found = cache.find(prompt, prompt.size() - 1);
    return found == nullptr ? 0 : found->tokens.size();
  }

  PrefixCache cache{options(std::size_t{1} << 32)};
  std::mt19937 random{5};
};

// However a 20-turn agent transcript with tool results is cut, and whatever came in between, only
// the cut turn is processed again; cut inside a message, not more than the cut costs or min_step.
TEST(PrefixCache, ACutTranscriptCostsTheCutTurn) {
  Transcript chat;
  Tokens sequence = chat.message(2000);  // system and tools
  std::vector<std::size_t> borders;      // where messages begin
  for (int turn = 0; turn < 20; ++turn) {
    const std::size_t n_done = sequence.size();
    borders.push_back(n_done);
    const std::size_t n_message = 10 + chat.random() % 3000;  // what the user or a tool says
    const Tokens prompt =
        joined(joined(sequence, chat.message(n_message)), chat.message(4));  // generation prompt
    borders.push_back(n_done + n_message);
    EXPECT_EQ(chat.process(prompt, 20 + chat.random() % 400, &sequence),
              turn == 0 ? prompt.size() : prompt.size() - n_done);
    for (int i = 0; i < 2; ++i) chat.process(chat.message(50 + chat.random() % 700), 20);
  }
  for (std::size_t i = 0; i < borders.size(); ++i) {
    const auto at = static_cast<std::ptrdiff_t>(borders[i]);
    const Tokens before(sequence.begin(), sequence.begin() + at);
    EXPECT_EQ(chat.cached(joined(before, chat.message(30))), borders[i]);
    if (i == 0 || i % 2 == 0) continue;
    // Anywhere in the message that ends here: the checkpoint before lies at most as far off as the
    // message's end, or min_step.
    for (std::size_t back = 1; back < borders[i] - borders[i - 1]; back += 37) {
      const Tokens cut(before.begin(), before.end() - static_cast<std::ptrdiff_t>(back));
      const std::size_t found = chat.cached(joined(cut, {0, 0}));
      EXPECT_LE(cut.size() - found, std::max<std::size_t>(back, Transcript::kMinStep)) << back;
    }
  }
}

// What was not used for long goes in the end, however long it is.
TEST(PrefixCache, NothingStaysForEver) {
  const auto old = conversation(0, 1, 6000);
  PrefixCache cache(options(2 * bytes_of(*old.back())));
  cache.insert(old.back());
  int n_requests = 0;
  while (cache.find(numbers(0, 100), 100) == nullptr && n_requests < 10'000 &&
         !cache.path(numbers(0, 6000)).empty()) {
    cache.insert(conversation(100'000 + 1000 * n_requests++, 1, 200).back());
  }
  EXPECT_GT(n_requests, 20);
  EXPECT_LT(n_requests, 10'000);
}

}  // namespace
}  // namespace foretoken::cache
