// The tree finds, the ledger counts pages, the order says who goes first. An entry's priority is
// computed anew where one of its parts changes: its clock (used), its bytes (a page became or
// stopped being its own), its distance (the next shallower checkpoint came or went), its being a
// tip (a deeper one came or went).
#include "cache/prefix_cache.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/error.h"
#include "cache/page_ledger.h"
#include "cache/token_tree.h"

namespace foretoken::cache {
namespace {

// How far the clock goes towards the priority of an evicted checkpoint that was never asked for:
// such ones come in floods, and say little about how fast those age that are.
constexpr double kUnusedAging = 1.0 / 64.0;

// What the tip of a conversation counts more than a point further up: conversations go on far more
// often than they are taken back. Only of paths that were asked for before, since a side request
// has a tip too. Measured: docs/prefix-cache.md, "What goes first".
constexpr double kTipWeight = 8.0;

struct Entry : PageHolder {
  CheckpointPtr checkpoint;
  TokenNode<Entry>* node = nullptr;
  std::size_t own_bytes = 0;
  std::uint64_t age = 0;     // order of insertion; unique
  double clock = 0.0;        // when it was last used
  bool was_used = false;     // found since it was inserted
  bool continues = false;    // when it was inserted, one above it had been used
  std::size_t distance = 0;  // tokens to the next shallower checkpoint of the path
  double priority = 0.0;     // as it stands in the order
};

struct LessValuable {
  bool operator()(const Entry* a, const Entry* b) const {
    return a->priority != b->priority ? a->priority < b->priority : a->age < b->age;
  }
};

}  // namespace

struct PrefixCache::Tree {
  using Nodes = TokenTree<Entry>;

  PrefixCacheOptions options;
  Nodes nodes;
  PageLedger pages;
  std::size_t own_bytes = 0;
  std::set<Entry*, LessValuable> order;    // least valuable first
  std::map<std::uint64_t, Entry*> by_age;  // oldest first
  std::uint64_t next_age = 0;
  double clock = 0.0;
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
  std::uint64_t evictions = 0;

  std::size_t bytes() const { return own_bytes + pages.bytes(); }

  static std::size_t bytes_alone(const Checkpoint& c) {
    return c.own_bytes() + c.kv.size() * c.kv_shape.page_bytes() +
           c.mtp_kv.size() * c.mtp_shape.page_bytes();
  }

  static void check(const CheckpointPtr& checkpoint) {
    if (checkpoint == nullptr || checkpoint->tokens.empty()) {
      throw RequestError("the prefix cache takes checkpoints of at least one token; this has none");
    }
  }

  // The entries that `tokens` starts with, shallowest first.
  std::vector<Entry*> on_path(std::span<const TokenId> tokens) const {
    std::vector<Entry*> out;
    nodes.walk(tokens, [&](const TokenNode<Entry>& node) {
      if (node.value != nullptr) out.push_back(node.value.get());
    });
    return out;
  }

  // ---- Priorities. ----

  static double priority_of(const Entry& entry) {
    const std::size_t freed = std::max<std::size_t>(entry.own_bytes + entry.exclusive_bytes, 1);
    const double value = static_cast<double>(entry.distance) / static_cast<double>(freed);
    const bool is_tip = entry.node->children.empty() && (entry.was_used || entry.continues);
    return entry.clock + (is_tip ? kTipWeight : 1.0) * value;
  }

  // To be called when what an entry's priority depends on has changed.
  void rerank(Entry& entry) {
    auto place = order.extract(&entry);  // found by the old priority; no memory is asked for
    entry.priority = priority_of(entry);
    order.insert(std::move(place));
  }

  void rerank_changed() {
    for (PageHolder* const holder : pages.take_changed()) {
      rerank(static_cast<Entry&>(*holder));
    }
  }

  void set_distances_below(Entry& entry, std::size_t depth) {
    Nodes::nearest_below(*entry.node, [&](TokenNode<Entry>& below) {
      below.value->distance = below.depth - depth;
      rerank(*below.value);
    });
  }

  static Entry* entry_above(const Entry& entry) {
    const TokenNode<Entry>* const above = Nodes::nearest_above(*entry.node);
    return above == nullptr ? nullptr : above->value.get();
  }

  static std::size_t depth_of(const Entry* entry) {
    return entry == nullptr ? 0 : entry->node->depth;
  }

  // ---- Coming and going. ----

  Entry& add(CheckpointPtr checkpoint) {
    TokenNode<Entry>& node = nodes.make(checkpoint->tokens);
    node.value = std::make_unique<Entry>();
    Entry& entry = *node.value;
    entry.node = &node;
    entry.own_bytes = checkpoint->own_bytes();
    entry.age = next_age++;
    entry.clock = clock;
    Entry* const above = entry_above(entry);
    entry.distance = node.depth - depth_of(above);
    entry.continues = above != nullptr && (above->was_used || above->continues);
    own_bytes += entry.own_bytes;
    pages.hold(entry, checkpoint->kv, checkpoint->kv_shape.page_bytes());
    pages.hold(entry, checkpoint->mtp_kv, checkpoint->mtp_shape.page_bytes());
    entry.checkpoint = std::move(checkpoint);
    entry.priority = priority_of(entry);
    order.insert(&entry);
    by_age.emplace(entry.age, &entry);
    rerank_changed();
    set_distances_below(entry, node.depth);
    if (above != nullptr) rerank(*above);  // no tip any longer
    return entry;
  }

  void remove(Entry& entry) {
    TokenNode<Entry>& node = *entry.node;
    order.erase(&entry);
    by_age.erase(entry.age);
    const Checkpoint& c = *entry.checkpoint;
    pages.release(entry, c.kv, c.kv_shape.page_bytes());
    pages.release(entry, c.mtp_kv, c.mtp_shape.page_bytes());
    own_bytes -= entry.own_bytes;
    rerank_changed();
    Entry* const above = entry_above(entry);
    set_distances_below(entry, depth_of(above));
    node.value.reset();
    nodes.prune(node);
    if (above != nullptr) rerank(*above);  // perhaps a tip again
  }

  // Makes room by dropping what is least valuable, but neither `keep` nor the newest.
  void evict_to_bound(const Entry& keep) {
    if (bytes() <= options.max_bytes) return;
    std::uint64_t newest = next_age;  // the age from which on entries stay
    auto at = by_age.rbegin();
    for (int i = 0; i < options.min_checkpoints && at != by_age.rend(); ++i, ++at) {
      newest = at->first;
    }
    auto victim = order.begin();
    while (bytes() > options.max_bytes && victim != order.end()) {
      Entry& entry = **victim;
      if (&entry == &keep || entry.age >= newest) {
        ++victim;
        continue;
      }
      const double step = std::max(entry.priority - clock, 0.0);
      clock += entry.was_used ? step : step * kUnusedAging;
      remove(entry);
      ++evictions;
      victim = order.begin();  // others' priorities have changed
    }
  }
};

PrefixCache::PrefixCache(const PrefixCacheOptions& options) : tree_(std::make_unique<Tree>()) {
  tree_->options = options;
}

PrefixCache::~PrefixCache() = default;

bool PrefixCache::insert(CheckpointPtr checkpoint) {
  Tree& tree = *tree_;
  tree.check(checkpoint);
  if (tree.options.min_checkpoints < 1 && tree.bytes_alone(*checkpoint) > tree.options.max_bytes) {
    return false;
  }
  const std::vector<Entry*> on_path = tree.on_path(checkpoint->tokens);
  if (!on_path.empty() && on_path.back()->node->depth == checkpoint->tokens.size()) {
    tree.remove(*on_path.back());
  }
  tree.evict_to_bound(tree.add(std::move(checkpoint)));
  return true;
}

CheckpointPtr PrefixCache::find(std::span<const TokenId> prompt, std::size_t max_tokens) {
  Tree& tree = *tree_;
  const std::vector<Entry*> on_path =
      tree.on_path(prompt.first(std::min(prompt.size(), max_tokens)));
  if (on_path.empty()) {
    ++tree.misses;
    return nullptr;
  }
  ++tree.hits;
  Entry& best = *on_path.back();
  best.clock = tree.clock;
  best.was_used = true;
  tree.rerank(best);
  return best.checkpoint;
}

std::size_t PrefixCache::common_prefix(std::span<const TokenId> prompt) const {
  return tree_->nodes.walk(prompt, [](const TokenNode<Entry>&) {});
}

std::vector<CheckpointPtr> PrefixCache::path(std::span<const TokenId> tokens) const {
  std::vector<CheckpointPtr> out;
  for (const Entry* const entry : tree_->on_path(tokens)) out.push_back(entry->checkpoint);
  return out;
}

int PrefixCache::erase(std::span<const TokenId> tokens) {
  std::vector<Entry*> on_path = tree_->on_path(tokens);
  int n_erased = 0;
  // From the deepest up; one with children is continued by a checkpoint off the path, and so are
  // all above it.
  for (; !on_path.empty() && on_path.back()->node->children.empty(); on_path.pop_back()) {
    tree_->remove(*on_path.back());
    ++n_erased;
  }
  return n_erased;
}

void PrefixCache::clear() {
  Tree& tree = *tree_;
  tree.order.clear();
  tree.by_age.clear();
  tree.nodes.clear();
  tree.pages = {};
  tree.own_bytes = 0;
}

std::vector<CheckpointPtr> PrefixCache::all() const {
  std::vector<CheckpointPtr> out;
  out.reserve(tree_->order.size());
  for (auto entry = tree_->order.rbegin(); entry != tree_->order.rend(); ++entry) {
    out.push_back((*entry)->checkpoint);
  }
  return out;
}

PrefixCacheStats PrefixCache::stats() const {
  PrefixCacheStats stats;
  stats.bytes = tree_->bytes();
  stats.n_checkpoints = static_cast<int>(tree_->order.size());
  stats.hits = tree_->hits;
  stats.misses = tree_->misses;
  stats.evictions = tree_->evictions;
  return stats;
}

}  // namespace foretoken::cache
