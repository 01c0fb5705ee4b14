#include "cache/token_tree.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace foretoken::cache {
namespace {

using Tokens = std::vector<TokenId>;
using Node = TokenNode<int>;

const Node& root_of(const TokenTree<int>& tree) {
  const Node* root = nullptr;
  tree.walk({}, [&](const Node& node) { root = &node; });
  return *root;
}

// Every node but the root has a value or parts sequences, knows its place, and leads to what was
// put in; returns the values below by their sequences.
void collect(const Node& node, const Tokens& before, std::map<Tokens, int>& out) {
  Tokens tokens = before;
  tokens.insert(tokens.end(), node.run.begin(), node.run.end());
  EXPECT_EQ(node.depth, tokens.size());
  if (node.parent != nullptr) {
    EXPECT_FALSE(node.run.empty());
    EXPECT_TRUE(node.value != nullptr || node.children.size() >= 2) << "joined and pruned";
  }
  if (node.value != nullptr) out[tokens] = *node.value;
  for (const auto& [token, child] : node.children) {
    EXPECT_EQ(child->parent, &node);
    EXPECT_EQ(child->run.front(), token);
    collect(*child, tokens, out);
  }
}

TEST(TokenTree, StaysMinimalAndCompleteWhateverComesAndGoes) {
  std::mt19937 random(1);
  TokenTree<int> tree;
  std::map<Tokens, int> expected;
  for (int step = 0; step < 3000; ++step) {
    Tokens tokens(1 + random() % 12);
    for (TokenId& token : tokens) token = static_cast<TokenId>(random() % 2);
    Node& node = tree.make(tokens);
    ASSERT_EQ(node.depth, tokens.size());
    // Mostly put in at first, mostly taken out later.
    if (random() % 3000 > static_cast<unsigned>(step)) {
      node.value = std::make_unique<int>(step);
      expected[tokens] = step;
    } else {
      node.value.reset();
      expected.erase(tokens);
      tree.prune(node);
    }
    if (step % 10 != 0) continue;
    std::map<Tokens, int> got;
    collect(root_of(tree), {}, got);
    ASSERT_EQ(got, expected);
  }
}

TEST(TokenTree, NodesWithValuesStayAtTheirAddress) {
  TokenTree<int> tree;
  Node& deep = tree.make(Tokens{1, 2, 3, 4});
  deep.value = std::make_unique<int>(1);
  Node& split = tree.make(Tokens{1, 2});
  split.value = std::make_unique<int>(2);
  EXPECT_EQ(&tree.make(Tokens{1, 2, 3, 4}), &deep);
  EXPECT_EQ(deep.parent, &split);
  EXPECT_EQ(deep.run, (Tokens{3, 4}));
  split.value.reset();
  tree.prune(split);
  EXPECT_EQ(&tree.make(Tokens{1, 2, 3, 4}), &deep);
  EXPECT_EQ(deep.run, (Tokens{1, 2, 3, 4}));
}

TEST(TokenTree, FindsTheNearestValuesUpAndDown) {
  TokenTree<int> tree;
  Node& top = tree.make(Tokens{1});
  top.value = std::make_unique<int>(0);
  for (const Tokens& tokens : {Tokens{1, 2, 5}, Tokens{1, 2, 6}, Tokens{1, 2, 6, 7}}) {
    tree.make(tokens).value = std::make_unique<int>(0);
  }
  std::vector<std::size_t> depths;
  TokenTree<int>::nearest_below(top, [&](Node& node) { depths.push_back(node.depth); });
  EXPECT_EQ(depths, (std::vector<std::size_t>{3, 3}));  // not the one behind 1 2 6
  EXPECT_EQ(TokenTree<int>::nearest_above(tree.make(Tokens{1, 2, 6})), &top);
  EXPECT_EQ(TokenTree<int>::nearest_above(top), nullptr);
}

}  // namespace
}  // namespace foretoken::cache
