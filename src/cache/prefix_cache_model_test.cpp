// The prefix cache against a model of its whole policy that keeps a list and computes everything
// anew.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <random>
#include <set>
#include <unordered_map>

#include "cache/light_checkpoints.h"
#include "cache/prefix_cache.h"

namespace foretoken::cache {
namespace {

using namespace light;

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
    for (int step = 0; step < 200; ++step) {
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

}  // namespace
}  // namespace foretoken::cache
