#include "eval/bench_prompts.h"

#include <gtest/gtest.h>

#include <set>

namespace foretoken::eval {
namespace {

TEST(BenchPrompts, AreNineKindsWithTextsOfTheirOwn) {
  std::set<std::string_view> kinds;
  std::set<std::string_view> texts;
  for (const BenchPrompt& prompt : bench_prompts()) {
    kinds.insert(prompt.category);
    texts.insert(prompt.text);
    EXPECT_GT(prompt.text.size(), 100U) << prompt.category;
  }
  EXPECT_EQ(kinds.size(), 9U);
  EXPECT_EQ(texts.size(), 9U);
}

}  // namespace
}  // namespace foretoken::eval
