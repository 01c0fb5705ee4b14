// Whole replies: thinking and its end, documents, lazy grammars, tool calls; properties of masks
// and of taking tokens back.
#include <gtest/gtest.h>

#include "base/error.h"
#include "grammar/test_grammar.h"

namespace foretoken::grammar {
namespace {

using Json = nlohmann::ordered_json;
using Constraint = std::unique_ptr<sampling::TokenConstraint>;

const Json& weather_tools() {
  static const Json kTools = Json::parse(R"([
    {"type":"function","function":{"name":"weather","parameters":{"type":"object","properties":{
       "city":{"type":"string"},"days":{"type":"integer","minimum":1,"maximum":14},
       "unit":{"type":"string","enum":["celsius","fahrenheit"]},
       "detail":{"type":"object","properties":{"wind":{"type":"boolean"}},"required":["wind"]},
       "exact":{"type":["boolean","null"]}},
       "required":["city","unit"]}}},
    {"type":"function","function":{"name":"now","parameters":{"type":"object","properties":{}}}},
    {"type":"function","function":{"name":"stop",
       "parameters":{"type":"object","properties":{},"additionalProperties":false}}}])");
  return kTools;
}

ReplyConstraintOptions with_tools(ToolChoice choice = ToolChoice::Auto) {
  ReplyConstraintOptions options;
  options.tools = weather_tools();
  options.tool_choice = choice;
  return options;
}

Constraint make(const ReplyConstraintOptions& options) {
  return make_reply_constraint(test_trie(), options);
}

/// Whether a reply may be `text` and end there.
bool reply_ok(const ReplyConstraintOptions& options, std::string_view text) {
  const Constraint constraint = make(options);
  return accept_text(*constraint, text) && may_end(*constraint);
}

const std::string kWeather =
    "<tool_call>\n<function=weather>\n<parameter=city>\nParis\n</parameter>\n"
    "<parameter=unit>\ncelsius\n</parameter>\n</function>\n</tool_call>";
const std::string kNow = "<tool_call>\n<function=now>\n</function>\n</tool_call>";

TEST(ReplyConstraint, IsNullWhereNothingIsRestricted) {
  EXPECT_EQ(make({}), nullptr);
  ReplyConstraintOptions thinking;
  thinking.starts_in_reasoning = true;
  EXPECT_EQ(make(thinking), nullptr);
  EXPECT_EQ(make(with_tools(ToolChoice::None)), nullptr);
  ReplyConstraintOptions budget;
  budget.reasoning_budget = 5;  // but there is no thinking
  EXPECT_EQ(make(budget), nullptr);
}

TEST(ReplyConstraint, RefusesContradictoryRequests) {
  const auto error_of = [](const ReplyConstraintOptions& options) {
    return request_error([&] { make(options); });
  };
  ReplyConstraintOptions both;
  both.gbnf = "root ::= \"a\"";
  both.schema = Json::object();
  EXPECT_NE(error_of(both), "");
  ReplyConstraintOptions with_grammar = with_tools();
  with_grammar.gbnf = "root ::= \"a\"";
  EXPECT_NE(error_of(with_grammar), "");
  ReplyConstraintOptions no_tools;
  no_tools.tool_choice = ToolChoice::Required;
  EXPECT_NE(error_of(no_tools), "");
  ReplyConstraintOptions unknown = with_tools(ToolChoice::Required);
  unknown.tool_name = "nobody";
  EXPECT_NE(error_of(unknown).find("nobody"), std::string::npos);
  ReplyConstraintOptions lazy;
  lazy.gbnf = "root ::= \"a\"";
  lazy.grammar_lazy = true;
  EXPECT_NE(error_of(lazy), "");
  ReplyConstraintOptions syntax;
  syntax.gbnf = "root ::= (";
  EXPECT_NE(error_of(syntax).find("line 1, column 11"), std::string::npos);
  for (const char* tools : {"{}", "[1]", R"([{"type":"function"}])",
                            R"([{"function":{"name":"a>b"}}])", R"([{"function":{"name":""}}])",
                            R"([{"function":{"name":"f","parameters":{"properties":{"a<":{}},
                                 "required":["a<"]}}}])"}) {
    ReplyConstraintOptions bad;
    bad.tools = Json::parse(tools);
    EXPECT_NE(error_of(bad), "") << tools;
  }
}

TEST(ReplyConstraint, GrammarRestrictsFromTheFirstToken) {
  ReplyConstraintOptions options;
  options.gbnf = R"(root ::= "ab" [0-9]+)";
  const Constraint constraint = make(options);
  EXPECT_TRUE(constraint->restricts());
  EXPECT_FALSE(may_end(*constraint));
  EXPECT_FALSE(constraint->allows('b'));
  ASSERT_TRUE(accept_text(*constraint, "ab1"));
  EXPECT_TRUE(may_end(*constraint));
  EXPECT_TRUE(constraint->allows('2'));
  constraint->accept(special("<|im_end|>"));
  EXPECT_EQ(masked_in(*constraint, test_tokenizer().n_vocab()),
            (std::vector<TokenId>{special("<|im_end|>"), special("<|endoftext|>")}));
}

TEST(ReplyConstraint, RefusedTokenLeavesOnlyTheEndUntilItIsTakenBack) {
  ReplyConstraintOptions options;
  options.gbnf = R"(root ::= "ab" [0-9]+)";
  const Constraint constraint = make(options);
  constraint->accept('a');
  constraint->accept('x');
  constraint->accept('b');
  EXPECT_TRUE(constraint->restricts());
  EXPECT_TRUE(may_end(*constraint));
  EXPECT_FALSE(constraint->allows('b'));
  constraint->rollback(2);
  EXPECT_TRUE(constraint->allows('b'));
  EXPECT_FALSE(may_end(*constraint));
}

TEST(ReplyConstraint, SchemaBeginsBehindThinking) {
  ReplyConstraintOptions options;
  options.schema = Json::parse(R"({"properties":{"ok":{"type":"boolean"}},"required":["ok"]})");
  options.starts_in_reasoning = true;
  EXPECT_TRUE(reply_ok(options, "let me { think }\n</think>\n\n{\"ok\": true}"));
  EXPECT_FALSE(reply_ok(options, "hm\n</think>\n\nwell {\"ok\": true}"));
  EXPECT_FALSE(reply_ok(options, "hm\n</think>\n\n{\"ok\": 1}"));
  const Constraint constraint = make(options);
  // A document is owed, so the reply cannot end while it is thinking.
  EXPECT_TRUE(constraint->restricts());
  EXPECT_FALSE(may_end(*constraint));
  EXPECT_TRUE(constraint->allows('x'));
  ASSERT_TRUE(accept_text(*constraint, "x\n"));
  constraint->accept(special("</think>"));
  // "{" may become part of a longer token.
  EXPECT_EQ(constraint->forced(8), test_tokenizer().encode("\n\n"));
}

TEST(ReplyConstraint, EndOfThinkingIsFoundInAnyTokens) {
  ReplyConstraintOptions options;
  options.gbnf = "root ::= \"ab\"";
  options.starts_in_reasoning = true;
  const Constraint constraint = make(options);
  for (const char c : std::string("x</thin</think>\n\n")) constraint->accept(c);
  EXPECT_TRUE(constraint->restricts());
  EXPECT_TRUE(constraint->allows('a'));
  EXPECT_FALSE(constraint->allows('b'));
  constraint->rollback(4);  // inside the tag again
  EXPECT_TRUE(constraint->allows('b'));
  for (const char* piece : {"k", ">\n", "\n"}) {
    for (const TokenId id : test_tokenizer().encode(piece)) constraint->accept(id);
  }
  EXPECT_TRUE(constraint->allows('a'));
  EXPECT_FALSE(constraint->allows('b'));
}

TEST(ReplyConstraint, BudgetForcesTheMessageAndTheEndOfThinking) {
  ReplyConstraintOptions options;
  options.starts_in_reasoning = true;
  options.reasoning_budget = 3;
  options.reasoning_message = " Enough <|im_end|>.";
  const Constraint constraint = make(options);
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(constraint->restricts());
    constraint->accept('x');
  }
  // The name of a control token in a request is text.
  const std::vector<TokenId> expected =
      test_tokenizer().encode(" Enough <|im_end|>.\n</think>\n\n", {.parse_special = false});
  EXPECT_EQ(constraint->forced(100), expected);
  for (const TokenId id : expected) {
    EXPECT_TRUE(constraint->restricts());
    EXPECT_EQ(masked_in(*constraint, test_tokenizer().n_vocab()), std::vector<TokenId>{id});
    constraint->accept(id);
  }
  EXPECT_FALSE(constraint->restricts());
  constraint->rollback(1);
  EXPECT_EQ(constraint->forced(5), std::vector<TokenId>{expected.back()});
  constraint->accept('x');
  EXPECT_TRUE(may_end(*constraint));
  EXPECT_FALSE(constraint->allows('x'));
}

TEST(ReplyConstraint, BudgetZeroEndsThinkingAtOnceAndUnusedBudgetDoesNothing) {
  ReplyConstraintOptions options;
  options.starts_in_reasoning = true;
  options.reasoning_budget = 0;
  EXPECT_EQ(make(options)->forced(100), test_tokenizer().encode("\n</think>\n\n"));
  options.reasoning_budget = 4;
  const Constraint constraint = make(options);
  ASSERT_TRUE(accept_text(*constraint, "x</think>\n\nyyyyyyyy"));
  EXPECT_FALSE(constraint->restricts());
}

TEST(ReplyConstraint, ThinkingEndsWhenToldTo) {
  ReplyConstraintOptions options;
  options.starts_in_reasoning = true;
  options.end_reasoning = std::make_shared<std::atomic<bool>>(false);
  const Constraint constraint = make(options);
  ASSERT_NE(constraint, nullptr);
  constraint->accept('x');
  EXPECT_FALSE(constraint->restricts());
  options.end_reasoning->store(true);
  constraint->accept('y');
  EXPECT_TRUE(constraint->restricts());
  ASSERT_TRUE(accept_text(*constraint, "\n</think>\n\nanswer"));
  EXPECT_FALSE(constraint->restricts());
}

TEST(ReplyConstraint, LazyGrammarWaitsForItsTrigger) {
  ReplyConstraintOptions options;
  options.gbnf = R"(root ::= "[[" [0-9]+ "]]")";
  options.grammar_lazy = true;
  options.grammar_triggers = {"[[", "never"};
  const Constraint constraint = make(options);
  ASSERT_TRUE(accept_text(*constraint, "text [ [x] "));
  EXPECT_FALSE(constraint->restricts());
  EXPECT_TRUE(may_end(*constraint));
  constraint->accept('[');
  EXPECT_FALSE(constraint->restricts());
  constraint->accept('[');
  EXPECT_TRUE(constraint->restricts());
  EXPECT_FALSE(constraint->allows('x'));
  constraint->rollback(2);
  EXPECT_FALSE(constraint->restricts());
  ASSERT_TRUE(accept_text(*constraint, "[[12]]"));
  EXPECT_TRUE(may_end(*constraint));
  EXPECT_FALSE(constraint->allows('x'));
}

TEST(ReplyConstraint, CallsAreWellFormedFromTheirTagOn) {
  const ReplyConstraintOptions options = with_tools();
  EXPECT_TRUE(reply_ok(options, "just text, with < and <tool"));
  EXPECT_TRUE(reply_ok(options, kWeather));
  EXPECT_TRUE(reply_ok(options, "I look.\n\n" + kWeather));
  EXPECT_TRUE(reply_ok(options, kNow + "\n"));
  EXPECT_TRUE(reply_ok(options, kNow + "\n" + kWeather + "\n" + kNow));
  for (const char* bad : {"<tool_call>\nhello", "<tool_call>\n<function=other>", "<tool_call>x",
                          "<tool_call>\n<function=now>\n</function>\n</tool_call>text",
                          "<tool_call>\n<function=weather>\n</function>"}) {
    EXPECT_FALSE(reply_ok(options, bad)) << bad;
  }
  ReplyConstraintOptions single = options;
  single.parallel_tool_calls = false;
  EXPECT_TRUE(reply_ok(single, kWeather + "\n"));
  EXPECT_FALSE(reply_ok(single, kWeather + "\n" + kNow));
}

TEST(ReplyConstraint, ParametersFollowTheirSchema) {
  const auto call = [](const std::vector<std::pair<std::string, std::string>>& arguments) {
    std::string text = "<tool_call>\n<function=weather>\n";
    for (const auto& [key, value] : arguments) {
      text += "<parameter=" + key + ">\n" + value + "\n</parameter>\n";
    }
    return reply_ok(with_tools(), text + "</function>\n</tool_call>");
  };
  EXPECT_TRUE(call({{"city", "Paris"}, {"unit", "celsius"}}));
  EXPECT_TRUE(call({{"unit", "fahrenheit"}, {"city", ""}}));
  EXPECT_TRUE(call({{"city", "a\nb </parameter> c\n\n"}, {"days", "14"}, {"unit", "celsius"}}));
  EXPECT_TRUE(call({{"exact", "True"}, {"city", "1"}, {"unit", "celsius"}}));
  EXPECT_TRUE(call({{"exact", "null"}, {"city", "1"}, {"unit", "celsius"}}));
  EXPECT_TRUE(call({{"detail", "{\"wind\": true}"}, {"unit", "celsius"}, {"city", "x"}}));
  EXPECT_FALSE(call({{"city", "Paris"}}));                                     // required
  EXPECT_FALSE(call({{"city", "a"}, {"unit", "kelvin"}}));                     // enum
  EXPECT_FALSE(call({{"city", "a"}, {"city", "b"}, {"unit", "celsius"}}));     // repeated
  EXPECT_FALSE(call({{"city", "a"}, {"days", "15"}, {"unit", "celsius"}}));    // range
  EXPECT_FALSE(call({{"city", "a"}, {"extra", "1"}, {"unit", "celsius"}}));    // unknown
  EXPECT_FALSE(call({{"detail", "{}"}, {"unit", "celsius"}, {"city", "x"}}));  // inside JSON
  EXPECT_FALSE(call({{"exact", "\"yes\""}, {"city", "1"}, {"unit", "celsius"}}));
}

TEST(ReplyConstraint, UnknownParametersOnlyWhereNoneAreDeclared) {
  const auto call = [](const std::string& name) {
    return reply_ok(with_tools(), "<tool_call>\n<function=" + name +
                                      ">\n<parameter=any>\nx\n</parameter>\n"
                                      "</function>\n</tool_call>");
  };
  EXPECT_TRUE(call("now"));
  EXPECT_FALSE(call("stop"));
  EXPECT_TRUE(reply_ok(with_tools(), "<tool_call>\n<function=stop>\n</function>\n</tool_call>"));
}

TEST(ReplyConstraint, SchemaNobodyUnderstandsRestrictsNothing) {
  ReplyConstraintOptions options;
  options.tools = Json::parse(R"([{"function":{"name":"f","parameters":{"properties":{
      "a":{"type":"int"},"b":{"$ref":"#/nowhere"},"c":{"type":"integer"}},"required":["a"]}}}])");
  const auto call = [&](const std::string& key, const std::string& value) {
    return reply_ok(options,
                    "<tool_call>\n<function=f>\n<parameter=a>\n?\n</parameter>\n<parameter=" + key +
                        ">\n" + value + "\n</parameter>\n</function>\n</tool_call>");
  };
  EXPECT_TRUE(call("b", "anything"));
  EXPECT_TRUE(call("c", "7"));
  EXPECT_FALSE(call("c", "anything"));
}

TEST(ReplyConstraint, RequiredCallsComeFirstAndOfTheNamedFunction) {
  ReplyConstraintOptions options = with_tools(ToolChoice::Required);
  EXPECT_TRUE(reply_ok(options, kNow));
  EXPECT_FALSE(reply_ok(options, "text"));
  EXPECT_FALSE(may_end(*make(options)));
  options.tool_name = "weather";
  EXPECT_TRUE(reply_ok(options, kWeather));
  EXPECT_FALSE(reply_ok(options, kNow));
  options.starts_in_reasoning = true;
  EXPECT_TRUE(reply_ok(options, "hm <tool_call> hm\n</think>\n\n" + kWeather));
  EXPECT_FALSE(reply_ok(options, "hm\n</think>\n\ntext"));
  const Constraint constraint = make(options);
  ASSERT_TRUE(accept_text(*constraint, "x</think>\n\n"));
  const std::vector<TokenId> forced = constraint->forced(100);
  std::string text;
  for (const TokenId id : forced) text += test_tokenizer().piece(id);
  const std::string whole = "<tool_call>\n<function=weather>\n<parameter=";
  EXPECT_EQ(text, whole.substr(0, text.size()));
  EXPECT_GE(text.size(), whole.size() - 9);  // without a last token that might grow
}

TEST(ReplyConstraint, CallInsideThinkingIsHeldToItsSyntax) {
  ReplyConstraintOptions options = with_tools();
  options.starts_in_reasoning = true;
  const Constraint constraint = make(options);
  ASSERT_TRUE(accept_text(*constraint, "the tag <tool_call> is written so. Now\n<tool_call>\n"));
  EXPECT_FALSE(constraint->restricts());  // it may be talk about calls
  ASSERT_TRUE(accept_text(*constraint, "<function="));
  EXPECT_TRUE(constraint->restricts());
  EXPECT_FALSE(constraint->allows('x'));
  EXPECT_TRUE(accept_text(*constraint, "now>\n</function>\n</tool_call>"));
  EXPECT_TRUE(may_end(*constraint));
}

TEST(ReplyConstraint, SchemaWithToolsAllowsEither) {
  ReplyConstraintOptions options = with_tools();
  options.schema = Json::parse(R"({"type":"integer"})");
  EXPECT_TRUE(reply_ok(options, "12"));
  EXPECT_TRUE(reply_ok(options, kNow));
  EXPECT_FALSE(reply_ok(options, "text"));
  options.tool_choice = ToolChoice::None;
  EXPECT_TRUE(reply_ok(options, "12"));
  EXPECT_FALSE(reply_ok(options, kNow));
}

TEST(ReplyConstraint, TriggerMayBeSpelledInAnyTokens) {
  for (const std::string& text : {kWeather, "x <" + kWeather}) {
    const Constraint constraint = make(with_tools());
    for (const char byte : text) {
      const TokenId id = static_cast<unsigned char>(byte);
      ASSERT_TRUE(constraint->allows(id));
      constraint->accept(id);
    }
    EXPECT_TRUE(may_end(*constraint));
    EXPECT_FALSE(constraint->allows('x'));
  }
}

std::vector<ReplyConstraintOptions> all_kinds() {
  std::vector<ReplyConstraintOptions> kinds;
  kinds.push_back(with_tools());
  kinds.push_back(with_tools(ToolChoice::Required));
  kinds.push_back(with_tools(ToolChoice::Required));
  kinds.back().starts_in_reasoning = true;
  kinds.back().reasoning_budget = 4;
  ReplyConstraintOptions schema;
  schema.schema = Json::parse(R"({"properties":{"name":{"type":"string","maxLength":9},
      "list":{"type":"array","items":{"enum":["ab","a\"b",12]}},"é":{"type":"number"}},
      "required":["name"]})");
  kinds.push_back(schema);
  schema.starts_in_reasoning = true;
  kinds.push_back(schema);
  ReplyConstraintOptions lazy;
  lazy.gbnf = R"(root ::= "ab" [^\n]{2,5} "\n" (root | "ok"))";
  lazy.grammar_lazy = true;
  lazy.grammar_triggers = {"ab"};
  kinds.push_back(lazy);
  return kinds;
}

/// A token to go on with: mostly from the tags and words, sometimes any byte.
TokenId pick(const std::vector<TokenId>& allowed, std::mt19937& rng) {
  std::vector<TokenId> special_ones;
  for (const TokenId id : allowed) {
    if (id >= 256) special_ones.push_back(id);
  }
  const bool any = special_ones.empty() || rng() % 3 == 0;
  return any ? allowed[rng() % allowed.size()] : special_ones[rng() % special_ones.size()];
}

TEST(ReplyConstraint, MaskAndAllowsAgreeInRandomStates) {
  const int n_vocab = test_tokenizer().n_vocab();
  std::mt19937 rng(1);
  for (const ReplyConstraintOptions& options : all_kinds()) {
    for (int round = 0; round < 4; ++round) {
      const Constraint constraint = make(options);
      for (int step = 0; step < 40; ++step) {
        const std::vector<TokenId> allowed = masked_in(*constraint, n_vocab);
        ASSERT_FALSE(allowed.empty());
        ASSERT_EQ(allowed, allowed_one_by_one(*constraint, n_vocab));
        if (!constraint->restricts()) {
          ASSERT_EQ(allowed.size(), static_cast<std::size_t>(n_vocab));
        }
        for (const TokenId id : constraint->forced(1)) ASSERT_TRUE(constraint->allows(id));
        constraint->accept(pick(allowed, rng));
      }
    }
  }
}

TEST(ReplyConstraint, RollbackRestoresExactly) {
  const int n_vocab = test_tokenizer().n_vocab();
  std::mt19937 rng(2);
  for (const ReplyConstraintOptions& options : all_kinds()) {
    const Constraint constraint = make(options);
    std::vector<std::vector<TokenId>> masks;  // before each accepted token
    for (int step = 0; step < 150; ++step) {
      const std::vector<TokenId> allowed = masked_in(*constraint, n_vocab);
      if (rng() % 4 == 0 && !masks.empty()) {
        const auto back = 1 + rng() % std::min<std::size_t>(masks.size(), 16);
        constraint->rollback(static_cast<int>(back));
        masks.resize(masks.size() - back);
        continue;
      }
      masks.push_back(allowed);
      const bool refused = rng() % 8 == 0;
      constraint->accept(refused ? static_cast<TokenId>(rng() % 300) : pick(allowed, rng));
      if (rng() % 3 == 0) {
        const std::vector<TokenId> after = masked_in(*constraint, n_vocab);
        constraint->accept(after.front());
        constraint->rollback(1);
        ASSERT_EQ(masked_in(*constraint, n_vocab), after);
      }
      constraint->rollback(1);
      ASSERT_EQ(masked_in(*constraint, n_vocab), allowed);
      constraint->accept(refused ? allowed.back() : allowed.front());
    }
  }
}

TEST(ReplyConstraint, TakesBackAtLeastWhatAVerificationTakes) {
  const Constraint constraint = make(with_tools());
  for (int i = 0; i < 100; ++i) constraint->accept('x');
  constraint->rollback(sampling::TokenConstraint::kMaxRollback);
  EXPECT_THROW(constraint->rollback(1000), Error);
  EXPECT_THROW(constraint->rollback(-1), Error);
}

TEST(ReplyConstraint, RandomDocumentsAreDocuments) {
  ReplyConstraintOptions options;
  options.schema = Json::parse(R"({"properties":{"name":{"type":"string"},
      "list":{"type":"array","items":{"anyOf":[{"type":"boolean"},{"type":"number"}]}},
      "any":{}},"required":["name"]})");
  const int n_vocab = test_tokenizer().n_vocab();
  std::mt19937 rng(4);
  int n_complete = 0;
  for (int round = 0; round < 60; ++round) {
    const Constraint constraint = make(options);
    std::string text;
    // Later on the walk takes the shortest way out: a token that closes something.
    for (int step = 0; step < 400 && !may_end(*constraint); ++step) {
      const std::vector<TokenId> allowed = masked_in(*constraint, n_vocab);
      TokenId id = pick(allowed, rng);
      if (step > 30) {
        for (const TokenId closing : {'}', ']', '"', '0', ','}) {
          if (constraint->allows(closing) && rng() % 4 != 0) {
            id = closing;
            break;
          }
        }
      }
      constraint->accept(id);
      text += test_tokenizer().piece(id);
    }
    if (!may_end(*constraint)) continue;
    ++n_complete;
    const Json document = Json::parse(text, nullptr, false);
    ASSERT_FALSE(document.is_discarded()) << text;
    ASSERT_TRUE(document.contains("name") && document["name"].is_string()) << text;
  }
  EXPECT_GE(n_complete, 40);
}

}  // namespace
}  // namespace foretoken::grammar
