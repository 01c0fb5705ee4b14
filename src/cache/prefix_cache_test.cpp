// The tree against a model that keeps a list and computes everything anew, and the cases a server
// lives by: side requests, branches, small bounds.
#include "cache/prefix_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <set>
#include <unordered_map>

#include "base/error.h"

namespace foretoken::cache {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAreArray;

using Tokens = std::vector<TokenId>;

constexpr KvPageShape kShape{1, 1, 32, {quant::Type::Q8_0, quant::Type::Q8_0}};
constexpr KvPageShape kMtpShape{1, 1, 32, {quant::Type::Q4_0, quant::Type::Q4_0}};
const std::size_t kPageBytes = kShape.page_bytes();        // 4352
const std::size_t kMtpPageBytes = kMtpShape.page_bytes();  // 2304
constexpr std::size_t kPositions = 64;

std::shared_ptr<std::byte> new_page() { return std::make_shared<std::byte>(); }

// A checkpoint after `tokens`, on the pages of `base` as far as these are full and the same.
std::shared_ptr<Checkpoint> make_checkpoint(Tokens tokens, const Checkpoint* base = nullptr,
                                            std::size_t state_floats = 50) {
  auto out = std::make_shared<Checkpoint>();
  out->kv_shape = kShape;
  out->mtp_shape = kMtpShape;
  const std::size_t n_pages = (tokens.size() + kPositions - 1) / kPositions;
  std::size_t n_shared = 0;
  if (base != nullptr) {
    const auto same =
        static_cast<std::size_t>(std::ranges::mismatch(tokens, base->tokens).in1 - tokens.begin());
    n_shared = same / kPositions;
  }
  for (std::size_t i = 0; i < n_pages; ++i) {
    out->kv.push_back(i < n_shared ? base->kv[i] : new_page());
    out->mtp_kv.push_back(i < n_shared ? base->mtp_kv[i] : new_page());
  }
  out->hidden.resize(state_floats);
  out->tokens = std::move(tokens);
  return out;
}

Tokens numbers(TokenId first, std::size_t n) {
  Tokens out(n);
  std::iota(out.begin(), out.end(), first);
  return out;
}

Tokens joined(Tokens a, const Tokens& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

PrefixCacheOptions options(std::size_t max_bytes, int min_checkpoints = 1) {
  return {max_bytes, min_checkpoints};
}

std::size_t bytes_of(const Checkpoint& c) {
  return c.own_bytes() + c.kv.size() * kPageBytes + c.mtp_kv.size() * kMtpPageBytes;
}

bool starts_with(const Tokens& tokens, const Tokens& prefix) {
  return prefix.size() <= tokens.size() && std::equal(prefix.begin(), prefix.end(), tokens.begin());
}

// ---- A model of the whole policy without any tree or running count. ----

class Model {
 public:
  explicit Model(const PrefixCacheOptions& options) : options_(options) {}

  bool insert(const CheckpointPtr& c) {
    if (options_.min_checkpoints < 1 && bytes_of(*c) > options_.max_bytes) return false;
    std::erase_if(items_, [&](const Item& item) { return item.c->tokens == c->tokens; });
    items_.push_back({c, clock_, false, false});
    const Item* above = nullptr;
    for (const Item& item : items_) {
      const std::size_t n = item.c->tokens.size();
      if (n >= c->tokens.size() || !starts_with(c->tokens, item.c->tokens)) continue;
      if (above == nullptr || n > above->c->tokens.size()) above = &item;
    }
    items_.back().continues = above != nullptr && (above->was_used || above->continues);
    while (bytes() > options_.max_bytes) {
      const std::size_t victim = least_valuable();
      if (victim == items_.size()) break;
      const double step = std::max(priorities()[victim] - clock_, 0.0);
      clock_ += items_[victim].was_used ? step : step / 64.0;
      items_.erase(items_.begin() + static_cast<std::ptrdiff_t>(victim));
      ++evictions;
    }
    return true;
  }

  CheckpointPtr find(const Tokens& prompt, std::size_t max_tokens) {
    Item* best = nullptr;
    for (Item& item : items_) {
      const std::size_t n = item.c->tokens.size();
      if (n > max_tokens || !starts_with(prompt, item.c->tokens)) continue;
      if (best == nullptr || n > best->c->tokens.size()) best = &item;
    }
    if (best == nullptr) return nullptr;
    best->clock = clock_;
    best->was_used = true;
    return best->c;
  }

  std::size_t common_prefix(const Tokens& prompt) const {
    std::size_t best = 0;
    for (const Item& item : items_) {
      const auto same = std::ranges::mismatch(prompt, item.c->tokens).in1 - prompt.begin();
      best = std::max(best, static_cast<std::size_t>(same));
    }
    return best;
  }

  std::vector<CheckpointPtr> path(const Tokens& tokens) const {
    std::vector<CheckpointPtr> out;
    for (const Item& item : items_) {
      if (starts_with(tokens, item.c->tokens)) out.push_back(item.c);
    }
    std::ranges::sort(out, {}, [](const CheckpointPtr& c) { return c->tokens.size(); });
    return out;
  }

  int erase(const Tokens& tokens) {
    std::set<const Checkpoint*> on_path;
    for (const CheckpointPtr& c : path(tokens)) on_path.insert(c.get());
    std::set<const Checkpoint*> gone;
    for (const Checkpoint* c : on_path) {
      const bool is_continued = std::ranges::any_of(items_, [&](const Item& item) {
        return !on_path.contains(item.c.get()) && starts_with(item.c->tokens, c->tokens);
      });
      if (!is_continued) gone.insert(c);
    }
    std::erase_if(items_, [&](const Item& item) { return gone.contains(item.c.get()); });
    return static_cast<int>(gone.size());
  }

  std::size_t bytes() const {
    std::set<const std::byte*> kv;
    std::set<const std::byte*> mtp;
    std::size_t sum = 0;
    for (const Item& item : items_) {
      sum += item.c->own_bytes();
      for (const auto& page : item.c->kv) kv.insert(page.get());
      for (const auto& page : item.c->mtp_kv) mtp.insert(page.get());
    }
    return sum + kv.size() * kPageBytes + mtp.size() * kMtpPageBytes;
  }

  // Most valuable first, of equals the newest.
  std::vector<CheckpointPtr> all() const {
    std::vector<std::pair<double, std::size_t>> order;
    for (const double value : priorities()) order.emplace_back(value, order.size());
    std::ranges::sort(order, std::greater<>());
    std::vector<CheckpointPtr> out;
    for (const auto& [priority, i] : order) out.push_back(items_[i].c);
    return out;
  }

  std::uint64_t evictions = 0;

 private:
  struct Item {
    CheckpointPtr c;
    double clock = 0.0;
    bool was_used = false;
    bool continues = false;
  };

  std::vector<double> priorities() const {
    std::unordered_map<const std::byte*, int> holders;
    for (const Item& item : items_) {
      for (const auto& page : item.c->kv) ++holders[page.get()];
      for (const auto& page : item.c->mtp_kv) ++holders[page.get()];
    }
    std::vector<double> out;
    for (const Item& item : items_) {
      const Checkpoint& c = *item.c;
      std::size_t above = 0;
      bool is_tip = item.was_used || item.continues;
      for (const Item& other : items_) {
        const std::size_t n = other.c->tokens.size();
        if (n > above && n < c.tokens.size() && starts_with(c.tokens, other.c->tokens)) above = n;
        if (n > c.tokens.size() && starts_with(other.c->tokens, c.tokens)) is_tip = false;
      }
      std::size_t freed = c.own_bytes();
      for (const auto& page : c.kv) freed += holders[page.get()] == 1 ? kPageBytes : 0;
      for (const auto& page : c.mtp_kv) freed += holders[page.get()] == 1 ? kMtpPageBytes : 0;
      const double value =
          static_cast<double>(c.tokens.size() - above) / static_cast<double>(freed);
      out.push_back(item.clock + (is_tip ? 8.0 : 1.0) * value);
    }
    return out;
  }

  std::size_t least_valuable() const {
    const std::size_t n_kept =
        std::max<std::size_t>(static_cast<std::size_t>(options_.min_checkpoints), 1);
    const std::vector<double> values = priorities();
    std::size_t best = items_.size();
    for (std::size_t i = 0; i + n_kept < items_.size(); ++i) {
      if (best == items_.size() || values[i] < values[best]) best = i;
    }
    return best;
  }

  PrefixCacheOptions options_;
  std::vector<Item> items_;  // oldest first
  double clock_ = 0.0;
};

// Random conversations: a few roots, continued, branched and asked for again.
class Driver {
 public:
  explicit Driver(unsigned seed) : random_(seed) {}

  std::size_t below(std::size_t n) { return random_() % n; }

  // A sequence that begins like one seen before, or from nothing; two letters, so that many part in
  // the middle of a run.
  Tokens sequence() {
    Tokens out;
    if (!seen_.empty() && below(8) != 0) {
      out = seen_[below(seen_.size())]->tokens;
      out.resize(below(3) == 0 ? below(out.size() + 1) : out.size());
    }
    const std::size_t n_more = below(3) == 0 ? below(4) : below(150);
    for (std::size_t i = 0; i < n_more; ++i) out.push_back(static_cast<TokenId>(below(2)));
    if (out.empty()) out.push_back(7);
    if (out.size() > 400) out.resize(400);
    return out;
  }

  CheckpointPtr checkpoint() {
    const Checkpoint* base =
        seen_.empty() || below(5) == 0 ? nullptr : seen_[below(seen_.size())].get();
    auto c = make_checkpoint(sequence(), base, below(4) * 700);
    if (seen_.size() > 40) seen_.erase(seen_.begin());
    seen_.push_back(c);
    return c;
  }

 private:
  std::mt19937 random_;
  std::vector<CheckpointPtr> seen_;
};

void expect_same(const PrefixCache& cache, const Model& model, std::size_t max_bytes) {
  EXPECT_EQ(cache.all(), model.all());
  const PrefixCacheStats stats = cache.stats();
  EXPECT_EQ(stats.bytes, model.bytes());
  EXPECT_EQ(stats.n_checkpoints, static_cast<int>(model.all().size()));
  EXPECT_EQ(stats.evictions, model.evictions);
  if (stats.n_checkpoints > 3) {
    EXPECT_LE(stats.bytes, max_bytes);
  }
}

// What the cache holds, its order, its bytes and its answers are the model's after every one of
// thousands of operations.
TEST(PrefixCache, IsTheListItStandsFor) {
  for (unsigned seed = 0; seed < 8; ++seed) {
    const std::size_t max_bytes = seed % 4 == 0 ? 1U << 30 : 60'000U * (seed % 4);
    const PrefixCacheOptions limits = options(max_bytes, static_cast<int>(seed % 3));
    PrefixCache cache(limits);
    Model model(limits);
    Driver driver(seed);
    std::uint64_t n_hits = 0;
    std::uint64_t n_misses = 0;
    for (int step = 0; step < 300; ++step) {
      SCOPED_TRACE(testing::Message() << "seed " << seed << " step " << step);
      const Tokens asked = driver.sequence();
      const std::size_t most = driver.below(2) == 0 ? asked.size() : driver.below(asked.size() + 1);
      const auto found = cache.find(asked, most);
      ASSERT_EQ(found, model.find(asked, most));
      ++(found != nullptr ? n_hits : n_misses);
      ASSERT_EQ(cache.stats().hits, n_hits);
      ASSERT_EQ(cache.stats().misses, n_misses);
      ASSERT_EQ(cache.common_prefix(asked), model.common_prefix(asked));
      ASSERT_EQ(cache.path(asked), model.path(asked));
      if (driver.below(12) == 0) {
        ASSERT_EQ(cache.erase(asked), model.erase(asked));
      } else {
        const CheckpointPtr c = driver.checkpoint();
        ASSERT_EQ(cache.insert(c), model.insert(c));
      }
      expect_same(cache, model, max_bytes);
      if (HasFailure()) return;
    }
  }
}

// ---- Cases. ----

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
