// A radix tree over token sequences: common beginnings are stored once, and a walk along a sequence
// costs its length, whatever else the tree holds. Edges carry runs of tokens and are split where
// sequences part; where a value goes away, edges are joined again, so that every node but the root
// either has a value or is where two sequences part.
// Source: Morrison, PATRICIA (1968), with tokens in place of bits.
#pragma once

#include <algorithm>
#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/token.h"

namespace foretoken::cache {

/// A place of the tree: the sequence from the root to the end of `run`. Nodes with values never
/// move in memory while they have one.
template <class Value>
struct TokenNode {
  TokenNode* parent = nullptr;  ///< null for the root only
  std::size_t depth = 0;        ///< tokens from the root to the end of `run`
  std::vector<TokenId> run;     ///< tokens since the parent; empty for the root only
  std::map<TokenId, std::unique_ptr<TokenNode>> children;  ///< by the first token of their run
  std::unique_ptr<Value> value;
};

/// The tree. Not thread safe. Nothing recurses: a chain may be as long as memory allows.
template <class Value>
class TokenTree {
 public:
  using Node = TokenNode<Value>;

  TokenTree() = default;
  TokenTree(const TokenTree&) = delete;
  TokenTree& operator=(const TokenTree&) = delete;
  ~TokenTree() { clear(); }

  /// Visits every node whose sequence `tokens` starts with, shallowest first (the root included),
  /// and returns how many tokens agree with anything in the tree, be it to the middle of an edge.
  template <class Visit>
  std::size_t walk(std::span<const TokenId> tokens, const Visit& visit) const {
    const Node* node = &root_;
    for (;;) {
      visit(*node);
      const auto rest = tokens.subspan(node->depth);
      const auto child = rest.empty() ? node->children.end() : node->children.find(rest.front());
      if (child == node->children.end()) return node->depth;
      const std::size_t same = common(child->second->run, rest);
      if (same < child->second->run.size()) return node->depth + same;
      node = child->second.get();
    }
  }

  /// The node of exactly these tokens, made when absent. A new one must get a value, or prune() has
  /// to follow.
  Node& make(std::span<const TokenId> tokens) {
    Node* node = &root_;
    while (node->depth < tokens.size()) {
      const auto rest = tokens.subspan(node->depth);
      const auto child = node->children.find(rest.front());
      if (child == node->children.end()) {
        auto leaf = std::make_unique<Node>();
        leaf->parent = node;
        leaf->depth = tokens.size();
        leaf->run.assign(rest.begin(), rest.end());
        return *node->children.emplace(rest.front(), std::move(leaf)).first->second;
      }
      const std::size_t same = common(child->second->run, rest);
      if (same < child->second->run.size()) split(child->second, same);
      node = child->second.get();
    }
    return *node;
  }

  /// To be called after `node` lost its value: takes it and what led only to it away, or joins its
  /// edge with that of its only child.
  void prune(Node& node) {
    Node* at = &node;
    while (at->parent != nullptr && at->value == nullptr && at->children.empty()) {
      Node* const parent = at->parent;
      parent->children.erase(at->run.front());  // destroys *at
      at = parent;
    }
    if (at->parent != nullptr && at->value == nullptr && at->children.size() == 1) join(*at);
  }

  /// Calls visit(Node&) for the nearest nodes with a value below `node`: those that have none
  /// between it and themselves.
  template <class Visit>
  static void nearest_below(Node& node, const Visit& visit) {
    std::vector<Node*> open = {&node};
    while (!open.empty()) {
      Node* const at = open.back();
      open.pop_back();
      for (const auto& [token, child] : at->children) {
        if (child->value != nullptr) {
          visit(*child);
        } else {
          open.push_back(child.get());
        }
      }
    }
  }

  /// The nearest node with a value above `node`, or null.
  static Node* nearest_above(const Node& node) {
    Node* at = node.parent;
    while (at != nullptr && at->value == nullptr) at = at->parent;
    return at;
  }

  void clear() {
    // Nodes are taken out of their parents first, or a long chain would be destroyed recursively.
    std::vector<std::unique_ptr<Node>> open;
    const auto take_children = [&](Node& node) {
      for (auto& [token, child] : node.children) open.push_back(std::move(child));
      node.children.clear();
    };
    take_children(root_);
    root_.value.reset();
    while (!open.empty()) {
      const std::unique_ptr<Node> node = std::move(open.back());
      open.pop_back();
      take_children(*node);
    }
  }

 private:
  static std::size_t common(std::span<const TokenId> a, std::span<const TokenId> b) {
    return static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
  }

  // Puts a node into the edge of `slot`, `at` tokens from its beginning.
  static void split(std::unique_ptr<Node>& slot, std::size_t at) {
    auto upper = std::make_unique<Node>();
    Node& lower = *slot;
    const auto cut = lower.run.begin() + static_cast<std::ptrdiff_t>(at);
    upper->parent = lower.parent;
    upper->depth = lower.depth - (lower.run.size() - at);
    upper->run.assign(lower.run.begin(), cut);
    upper->children[*cut] = std::move(slot);
    lower.run.erase(lower.run.begin(), cut);
    lower.parent = upper.get();
    slot = std::move(upper);
  }

  // Replaces `node` by its only child, whose run then begins with node's.
  static void join(Node& node) {
    std::unique_ptr<Node> child = std::move(node.children.begin()->second);
    child->run.insert(child->run.begin(), node.run.begin(), node.run.end());
    child->parent = node.parent;
    const TokenId first = child->run.front();
    child->parent->children[first] = std::move(child);  // destroys node
  }

  Node root_;
};

}  // namespace foretoken::cache
