// The grammar of tool calls against the parser of replies, over a real vocabulary: whatever the
// grammar lets a model write, the parser takes as complete calls whose arguments fit the tools.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "chat/reply_parser.h"
#include "grammar/constraints.h"
#include "sanitized.h"
#include "tokenizer/tokenizer.h"

namespace foretoken {
namespace {

using Json = nlohmann::ordered_json;

const Json& tools() {
  static const Json kTools = Json::parse(R"([
    {"type":"function","function":{"name":"write_file","parameters":{"type":"object","properties":{
       "path":{"type":"string"},"content":{"type":"string"},
       "mode":{"type":"string","enum":["append","replace"]},"lines":{"type":"integer","minimum":0},
       "options":{"type":"object","properties":{"sync":{"type":"boolean"},
         "tags":{"type":"array","items":{"type":"string"},"maxItems":2}},"required":["sync"]},
       "force":{"type":"boolean"}},
       "required":["path","content","mode"]}}},
    {"type":"function","function":{"name":"now","parameters":{"type":"object","properties":{},
       "additionalProperties":false}}}])");
  return kTools;
}

const tokenizer::Tokenizer& tiny_tokenizer() {
  static const auto kTokenizer =
      tokenizer::Tokenizer::from_directory(FORETOKEN_SOURCE_DIR "/models/tiny/paw");
  return kTokenizer;
}

/// A way through the constraint: random tokens, and inside free text now and then its end.
class Walk {
 public:
  Walk(sampling::TokenConstraint& constraint, unsigned seed)
      : constraint_(constraint), rng_(seed) {}

  /// Goes on until an end of generation is drawn; false when it takes too long.
  bool run(std::vector<TokenId>& reply) {
    const auto n_vocab = static_cast<std::size_t>(tiny_tokenizer().n_vocab());
    for (int step = 0; step < 400; ++step) {
      std::vector<float> logits(n_vocab, 0.0F);
      constraint_.mask(logits);
      std::vector<TokenId> allowed;
      for (std::size_t i = 0; i < n_vocab; ++i) {
        if (!std::isinf(logits[i])) allowed.push_back(static_cast<TokenId>(i));
      }
      const TokenId id = choose(allowed);
      if (tiny_tokenizer().is_end_of_generation(id)) return true;
      constraint_.accept(id);
      reply.push_back(id);
    }
    return false;
  }

 private:
  TokenId choose(const std::vector<TokenId>& allowed) {
    if (planned_.empty() && allowed.size() > 1000 && rng_() % 8 == 0) {
      planned_ = tiny_tokenizer().encode("\n</parameter>");
      std::ranges::reverse(planned_);
    }
    for (const char* closing : {"\"", "}", "]", "</"}) {
      if (!planned_.empty() || rng_() % 3 != 0) break;
      const TokenId id = tiny_tokenizer().encode(closing).front();
      if (std::ranges::find(allowed, id) != allowed.end()) return id;
    }
    const bool follow =
        !planned_.empty() && std::ranges::find(allowed, planned_.back()) != allowed.end();
    const TokenId id = follow ? planned_.back() : allowed[rng_() % allowed.size()];
    if (follow) {
      planned_.pop_back();
    } else {
      planned_.clear();
    }
    return id;
  }

  sampling::TokenConstraint& constraint_;
  std::mt19937 rng_;
  std::vector<TokenId> planned_;  // last first
};

void expect_fits(const chat::Reply::Call& call, const std::string& text) {
  const Json arguments = Json::parse(call.arguments, nullptr, false);
  ASSERT_TRUE(arguments.is_object()) << call.arguments << "\n" << text;
  if (call.name == "now") {
    EXPECT_TRUE(arguments.empty()) << text;
    return;
  }
  ASSERT_EQ(call.name, "write_file");
  EXPECT_TRUE(arguments.at("path").is_string());
  EXPECT_TRUE(arguments.at("content").is_string());
  EXPECT_TRUE(arguments.at("mode") == "append" || arguments.at("mode") == "replace") << text;
  if (arguments.contains("lines")) {
    EXPECT_TRUE(arguments["lines"].is_number_integer() && arguments["lines"] >= 0) << text;
  }
  if (arguments.contains("options")) {
    EXPECT_TRUE(arguments["options"].at("sync").is_boolean()) << text;
  }
  if (arguments.contains("force")) {
    EXPECT_TRUE(arguments["force"].is_boolean()) << text;
  }
}

TEST(ToolCallGrammar, WhatItAllowsIsParsedAsCompleteCalls) {
  const auto trie = grammar::make_token_trie(tiny_tokenizer());
  grammar::ReplyConstraintOptions options;
  options.tools = tools();
  options.tool_choice = grammar::ToolChoice::Required;
  int n_ended = 0;
  const unsigned n_walks = kSanitized ? 10 : 40;
  for (unsigned seed = 0; seed < n_walks; ++seed) {
    options.starts_in_reasoning = seed % 2 == 1;
    options.parallel_tool_calls = seed % 4 == 0;
    const auto constraint = grammar::make_reply_constraint(trie, options);
    std::vector<TokenId> ids;
    if (options.starts_in_reasoning) {
      for (const TokenId id : tiny_tokenizer().encode("Hm.\n</think>\n\n")) {
        constraint->accept(id);
        ids.push_back(id);
      }
    }
    if (!Walk(*constraint, seed).run(ids)) continue;
    const std::string text = tiny_tokenizer().decode(ids);
    ++n_ended;
    chat::ReplyParser parser({.starts_in_reasoning = options.starts_in_reasoning,
                              .parse_tool_calls = true,
                              .tools = tools()});
    parser.feed(text);
    parser.finish();
    const chat::Reply& reply = parser.reply();
    EXPECT_EQ(reply.content, "") << text;
    ASSERT_FALSE(reply.calls.empty()) << text;
    for (const chat::Reply::Call& call : reply.calls) expect_fits(call, text);
  }
  EXPECT_GE(n_ended, static_cast<int>(n_walks / 2));
}

TEST(ToolCallGrammar, UsualTokensOfACallAreAllowedAndForcedOnesAreUsual) {
  const auto trie = grammar::make_token_trie(tiny_tokenizer());
  grammar::ReplyConstraintOptions options;
  options.tools = tools();
  const std::string text =
      "I write it.\n\n<tool_call>\n<function=write_file>\n<parameter=path>\na.txt\n</parameter>\n"
      "<parameter=mode>\nappend\n</parameter>\n<parameter=content>\n  two\nlines\n\n</parameter>\n"
      "</function>\n</tool_call>\n<tool_call>\n<function=now>\n</function>\n</tool_call>";
  const auto constraint = grammar::make_reply_constraint(trie, options);
  const std::vector<TokenId> ids = tiny_tokenizer().encode(text);
  std::size_t n_forced = 0;
  std::size_t n_wrong = 0;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const std::vector<TokenId> forced = constraint->forced(8);
    for (std::size_t k = 0; k < forced.size(); ++k) {
      ++n_forced;
      if (i + k >= ids.size() || forced[k] != ids[i + k]) {
        ++n_wrong;
        break;
      }
    }
    ASSERT_TRUE(constraint->allows(ids[i])) << i << " " << tiny_tokenizer().piece(ids[i]);
    constraint->accept(ids[i]);
  }
  EXPECT_GE(n_forced, 20u);
  EXPECT_EQ(n_wrong, 0u);
}

}  // namespace
}  // namespace foretoken
