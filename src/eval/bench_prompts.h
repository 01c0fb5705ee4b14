// Questions for measuring speculation on real text: how often drafts are accepted depends on what
// is written, so one kind of text would say nothing about another. The nine kinds are those that
// llama.cpp's users compare MTP with; the texts are our own.
#pragma once

#include <span>
#include <string_view>

namespace foretoken::eval {

struct BenchPrompt {
  std::string_view category;
  std::string_view text;
};

std::span<const BenchPrompt> bench_prompts();

}  // namespace foretoken::eval
