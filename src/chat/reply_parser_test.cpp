// Every expectation is checked for the text in one piece, byte by byte, and cut in two at every
// byte: the reply and the joined events must not depend on the cuts.
#include "chat/reply_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

namespace foretoken::chat {
namespace {

using Json = nlohmann::ordered_json;
using Kind = ReplyEvent::Kind;

struct Result {
  Reply reply;
  std::vector<ReplyEvent> events;  ///< neighbouring pieces of one kind joined
  bool operator==(const Result&) const = default;
};

void PrintTo(const Result& result, std::ostream* out) {
  for (const ReplyEvent& event : result.events) {
    *out << static_cast<int>(event.kind) << " " << event.call << " '" << event.text << "'\n";
  }
}

Result parse(const ReplyParserOptions& options, const std::vector<std::string_view>& pieces) {
  ReplyParser parser(options);
  Result result;
  const auto add = [&](std::vector<ReplyEvent> events) {
    for (ReplyEvent& event : events) {
      const bool text = event.kind == Kind::Reasoning || event.kind == Kind::Content ||
                        event.kind == Kind::CallArguments;
      if (text) {
        EXPECT_FALSE(event.text.empty());
      }
      if (text && !result.events.empty() && result.events.back().kind == event.kind) {
        result.events.back().text += event.text;
      } else {
        result.events.push_back(std::move(event));
      }
    }
  };
  for (const std::string_view piece : pieces) add(parser.feed(piece));
  add(parser.finish());
  result.reply = parser.reply();
  return result;
}

/// Parses at all cuts, expects the same each time, returns the result.
Result parse_everyhow(const std::string& text, const ReplyParserOptions& options = {}) {
  const Result whole = parse(options, {text});
  const std::string_view view = text;
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    EXPECT_EQ(parse(options, {view.substr(0, cut), view.substr(cut)}), whole) << "cut at " << cut;
  }
  std::vector<std::string_view> bytes;
  for (std::size_t i = 0; i < text.size(); ++i) bytes.push_back(view.substr(i, 1));
  EXPECT_EQ(parse(options, bytes), whole) << "byte by byte";
  // What the events say is what the reply holds.
  std::string reasoning;
  std::string content;
  std::vector<Reply::Call> calls;
  for (const ReplyEvent& event : whole.events) {
    if (event.kind == Kind::Reasoning) reasoning += event.text;
    if (event.kind == Kind::Content) content += event.text;
    if (event.kind == Kind::CallBegin) calls.push_back({event.text, {}});
    if (event.kind == Kind::CallArguments) calls.back().arguments += event.text;
    if (event.kind == Kind::CallAbandoned) calls.pop_back();
  }
  EXPECT_EQ(reasoning, whole.reply.reasoning);
  EXPECT_EQ(content, whole.reply.content);
  EXPECT_EQ(calls, whole.reply.calls);
  return whole;
}

Reply reply_to(const std::string& text, const ReplyParserOptions& options = {}) {
  return parse_everyhow(text, options).reply;
}

const ReplyParserOptions kNotThinking{
    .starts_in_reasoning = false, .parse_tool_calls = true, .tools = nullptr};

ReplyParserOptions with_properties(const std::string& properties) {
  ReplyParserOptions options;
  options.starts_in_reasoning = false;
  options.tools = Json::parse(R"([{"type":"function","function":{"name":"f","parameters":
    {"type":"object","$defs":{"City":{"type":"object"}},"properties":)" +
                              properties + "}}}]");
  return options;
}

std::string call_with(const std::string& key, const std::string& value) {
  return "<tool_call>\n<function=f>\n<parameter=" + key + ">\n" + value +
         "\n</parameter>\n</function>\n</tool_call>";
}

std::string arguments_of(const std::string& schema, const std::string& value) {
  const Reply reply = reply_to(call_with("k", value), with_properties("{\"k\":" + schema + "}"));
  EXPECT_EQ(reply.calls.size(), 1u);
  if (reply.calls.empty()) return {};
  EXPECT_TRUE(Json::accept(reply.calls[0].arguments)) << reply.calls[0].arguments;
  return reply.calls[0].arguments;
}

TEST(ReplyParser, SplitsReasoningFromContent) {
  EXPECT_EQ(reply_to("I think.\n\nTwice.\n</think>\n\nHello\nthere"),
            (Reply{"I think.\n\nTwice.", "Hello\nthere", {}}));
  EXPECT_EQ(reply_to("\n</think>\n\nHi"), (Reply{"", "Hi", {}}));
}

TEST(ReplyParser, TakesAllAsContentWhenThinkingIsOff) {
  EXPECT_EQ(reply_to("Hi <think> there\n", kNotThinking), (Reply{"", "Hi <think> there\n", {}}));
}

TEST(ReplyParser, SwallowsARepeatedOpeningTag) {
  EXPECT_EQ(reply_to("<think>\nhm\n</think>\n\nx"), (Reply{"hm", "x", {}}));
  EXPECT_EQ(reply_to("<think>\nhm\n</think>\n\nx", kNotThinking), (Reply{"hm", "x", {}}));
}

TEST(ReplyParser, SwallowsAStrayClosingTagWhenThinkingIsOff) {
  EXPECT_EQ(reply_to("\n</think>\n\nx", kNotThinking), (Reply{"", "x", {}}));
}

TEST(ReplyParser, TakesUnfinishedThinkingAsReasoning) {
  EXPECT_EQ(reply_to("still going\n</thi"), (Reply{"still going\n</thi", "", {}}));
  EXPECT_EQ(reply_to("still going\n"), (Reply{"still going", "", {}}));
}

TEST(ReplyParser, ParsesCallsAfterText) {
  const Result result = parse_everyhow(
      "r\n</think>\n\nLet me look.\n\n<tool_call>\n<function=get>\n<parameter=city>\nOslo\n"
      "</parameter>\n<parameter=n>\n2\n</parameter>\n</function>\n</tool_call>\n<tool_call>\n"
      "<function=now>\n</function>\n</tool_call>");
  EXPECT_EQ(
      result.reply,
      (Reply{"r", "Let me look.", {{"get", R"({"city": "Oslo", "n": "2"})"}, {"now", "{}"}}}));
  const std::vector<ReplyEvent> expected = {
      {Kind::Reasoning, "r"},         {Kind::Content, "Let me look."},
      {Kind::CallBegin, "get", 0},    {Kind::CallArguments, R"({"city": "Oslo", "n": "2"})", 0},
      {Kind::CallEnd, "", 0},         {Kind::CallBegin, "now", 1},
      {Kind::CallArguments, "{}", 1}, {Kind::CallEnd, "", 1}};
  EXPECT_EQ(result.events, expected);
}

TEST(ReplyParser, AcceptsACallInsideUnclosedThinking) {
  EXPECT_EQ(reply_to("I call it.\n<tool_call>\n<function=f>\n</function>\n</tool_call>"),
            (Reply{"I call it.", "", {{"f", "{}"}}}));
}

TEST(ReplyParser, KeepsAMentionedTagAsText) {
  EXPECT_EQ(reply_to("use <tool_call> for it\n</think>\n\nok <tool_call> \nthen\n"),
            (Reply{"use <tool_call> for it", "ok <tool_call> \nthen\n", {}}));
  EXPECT_EQ(reply_to("a <tool_call>\n<function=\n> b", kNotThinking),
            (Reply{"", "a <tool_call>\n<function=\n> b", {}}));
}

TEST(ReplyParser, LeavesTagsAloneWhenCallsAreOff) {
  ReplyParserOptions options = kNotThinking;
  options.parse_tool_calls = false;
  const std::string text = call_with("k", "v");
  EXPECT_EQ(reply_to(text, options).content, text);
}

TEST(ReplyParser, AcceptsACallWhoseClosingTagIsMissing) {
  EXPECT_EQ(reply_to("<tool_call>\n<function=f>\n</function>", kNotThinking).calls.size(), 1u);
  EXPECT_EQ(reply_to("<tool_call>\n<function=f>\n</function>\n</tool_", kNotThinking).calls.size(),
            1u);
}

TEST(ReplyParser, GivesABrokenOffCallBackAsContent) {
  const std::string call = "<tool_call>\n<function=f>\n<parameter=k>\nva\n</par";
  const Result result = parse_everyhow("Well. \n" + call, kNotThinking);
  EXPECT_EQ(result.reply, (Reply{"", "Well. \n" + call, {}}));
  EXPECT_THAT(result.events, ::testing::Contains(ReplyEvent{Kind::CallAbandoned, "", 0}));
}

TEST(ReplyParser, GivesAMalformedCallBackAndGoesOn) {
  EXPECT_EQ(reply_to("<tool_call>\n<function=f>\nnonsense</function>\n</tool_call>\n" +
                         call_with("k", "v"),
                     kNotThinking),
            (Reply{"",
                   "<tool_call>\n<function=f>\nnonsense</function>\n</tool_call>",
                   {{"f", R"({"k": "v"})"}}}));
}

TEST(ReplyParser, TakesTextBehindACallAsContent) {
  EXPECT_EQ(
      reply_to("A\n\n" + call_with("k", "v") + "\n\nB \n" + call_with("k", "w"), kNotThinking),
      (Reply{"", "A\nB", {{"f", R"({"k": "v"})"}, {"f", R"({"k": "w"})"}}}));
}

TEST(ReplyParser, AcceptsSeveralFunctionsInOneCall) {
  EXPECT_EQ(
      reply_to("<tool_call>\n<function=f>\n</function>\n<function=g>\n</function>\n</tool_call>",
               kNotThinking)
          .calls,
      (std::vector<Reply::Call>{{"f", "{}"}, {"g", "{}"}}));
}

TEST(ReplyParser, KeepsIndentationAndOwnNewlinesOfValues) {
  EXPECT_EQ(arguments_of(R"({"type":"string"})", "  a\n\n    b\n"), R"({"k": "  a\n\n    b\n"})");
}

TEST(ReplyParser, AcceptsBothSpellingsOfAnEmptyValue) {
  EXPECT_EQ(arguments_of(R"({"type":"string"})", ""), R"({"k": ""})");
  EXPECT_EQ(
      reply_to("<tool_call>\n<function=f>\n<parameter=k>\n</parameter>\n</function>", kNotThinking)
          .calls.at(0)
          .arguments,
      R"({"k": ""})");
}

TEST(ReplyParser, KeepsAClosingTagInsideALineAsValue) {
  EXPECT_EQ(arguments_of(R"({"type":"string"})", "say </parameter> here"),
            R"({"k": "say </parameter> here"})");
}

TEST(ReplyParser, AcceptsValuesOnTheTagsLine) {
  EXPECT_EQ(reply_to("<tool_call><function=f><parameter=k>v</parameter><parameter=j>w\n</parameter>"
                     "</function></tool_call>",
                     kNotThinking)
                .calls.at(0)
                .arguments,
            R"({"k": "v", "j": "w"})");
}

TEST(ReplyParser, EscapesStringsAndKeys) {
  EXPECT_EQ(reply_to("<tool_call>\n<function=f>\n<parameter=a\"b\\>\n\"q\"\\\t\x01é\n</"
                     "parameter>\n</function>",
                     kNotThinking)
                .calls.at(0)
                .arguments,
            "{\"a\\\"b\\\\\": \"\\\"q\\\"\\\\\\t\\u0001é\"}");
}

TEST(ReplyParser, ConvertsValuesByTheirSchema) {
  EXPECT_EQ(arguments_of(R"({"type":"integer"})", "42"), R"({"k": 42})");
  EXPECT_EQ(arguments_of(R"({"type":"integer"})", "many"), R"({"k": "many"})");
  EXPECT_EQ(arguments_of(R"({"type":"number"})", " -1.5e3 "), R"({"k": -1.5e3})");
  EXPECT_EQ(arguments_of(R"({"type":"number"})", "12345678901234567890123"),
            R"({"k": 12345678901234567890123})");
  EXPECT_EQ(arguments_of(R"({"type":"boolean"})", "True"), R"({"k": true})");
  EXPECT_EQ(arguments_of(R"({"type":"boolean"})", "0"), R"({"k": false})");
  EXPECT_EQ(arguments_of(R"({"type":["integer","null"]})", "None"), R"({"k": null})");
  EXPECT_EQ(arguments_of(R"({"type":"object"})", R"({"a": [1, "x"]})"),
            R"({"k": {"a": [1, "x"]}})");
  EXPECT_EQ(arguments_of(R"({"type":"array"})", "['it\\'s', True, None, \"q\\\"\"]"),
            R"({"k": ["it's", true, null, "q\""]})");
  EXPECT_EQ(arguments_of(R"({"type":"array"})", "[1, 2"), R"({"k": "[1, 2"})");
  EXPECT_EQ(arguments_of(R"({"type":"string"})", "42"), R"({"k": "42"})");
  EXPECT_EQ(arguments_of(R"({"type":["string","integer"]})", "42"), R"({"k": 42})");
  EXPECT_EQ(arguments_of(R"({"type":["string","integer"]})", "forty"), R"({"k": "forty"})");
  EXPECT_EQ(arguments_of(R"({"anyOf":[{"type":"integer"},{"type":"null"}]})", "7"), R"({"k": 7})");
  EXPECT_EQ(arguments_of(R"({"enum":[1,2]})", "2"), R"({"k": 2})");
  EXPECT_EQ(arguments_of(R"({"$ref":"#/$defs/City"})", R"({"n":1})"), R"({"k": {"n":1}})");
  EXPECT_EQ(arguments_of(R"({"$ref":"#/nowhere"})", "1"), R"({"k": "1"})");
  EXPECT_EQ(arguments_of("{}", "1"), R"({"k": "1"})");
}

TEST(ReplyParser, KeepsANumberWithNulBytesAsString) {
  const std::string value("8\0\0", 3);
  EXPECT_EQ(reply_to(call_with("k", value), with_properties(R"({"k":{"type":"integer"}})"))
                .calls.at(0)
                .arguments,
            std::string("{\"k\": \"8\\u0000\\u0000\"}"));
}

TEST(ReplyParser, SurvivesSchemasThatReferToThemselves) {
  EXPECT_EQ(arguments_of(R"({"$ref":"#/properties/k"})", "1"), R"({"k": "1"})");
  EXPECT_EQ(arguments_of(R"({"anyOf":[{"$ref":"#/properties/k"},{"$ref":"#/properties/k"}]})", "1"),
            R"({"k": "1"})");
}

TEST(ReplyParser, KeepsTooDeepValuesAsStrings) {
  const std::string deep = std::string(300, '[') + std::string(300, ']');
  EXPECT_EQ(arguments_of(R"({"type":"array"})", deep), "{\"k\": \"" + deep + "\"}");
}

TEST(ReplyParser, StreamsStringValuesBeforeTheyEnd) {
  ReplyParser parser(kNotThinking);
  parser.feed("<tool_call>\n<function=f>\n<parameter=k>\nabc");
  const std::vector<ReplyEvent> events = parser.feed("def\n</para");
  const std::vector<ReplyEvent> expected = {{Kind::CallArguments, "def", 0}};
  EXPECT_EQ(events, expected);
}

TEST(ReplyParser, HoldsBackOnlyWhatMayBeATag) {
  ReplyParser parser(ReplyParserOptions{});
  EXPECT_EQ(parser.feed("abc <").front().text, "abc ");
  EXPECT_EQ(parser.feed("b> \n").front().text, "<b> ");
  EXPECT_TRUE(parser.feed("\n</think").empty());
}

TEST(ReplyParser, ReadsTheAssistantTurnsOfTheGoldens) {
  std::ifstream file(FORETOKEN_SOURCE_DIR "/tests/data/goldens/chat_template.json");
  const Json goldens = Json::parse(file);
  int n_calls = 0;
  for (const Json& c : goldens["cases"]) {
    if (!c.contains("rendered")) continue;
    const Json& last = c["messages"].back();
    const auto text = c["rendered"].get<std::string>();
    const std::string opening = "<|im_start|>assistant\n<think>\n";
    const std::size_t begin = text.rfind(opening);
    if (last["role"] != "assistant" || begin == std::string::npos) continue;
    SCOPED_TRACE(c["name"].get<std::string>());
    const std::size_t from = begin + opening.size();
    const Reply reply = reply_to(text.substr(from, text.rfind("<|im_end|>") - from));
    const std::size_t expected = last.contains("tool_calls") ? last["tool_calls"].size() : 0;
    ASSERT_EQ(reply.calls.size(), expected);
    n_calls += static_cast<int>(expected);
    for (std::size_t i = 0; i < expected; ++i) {
      EXPECT_EQ(reply.calls[i].name, last["tool_calls"][i]["function"]["name"].get<std::string>());
      for (const auto& [key, value] : last["tool_calls"][i]["function"]["arguments"].items()) {
        if (value.is_string()) {
          EXPECT_EQ(Json::parse(reply.calls[i].arguments)[key], value);
        }
      }
    }
  }
  EXPECT_GE(n_calls, 3);
}

TEST(ReplyParser, TakesLongTextsInOnePieceQuickly) {
  std::string text;
  for (int i = 0; i < 100000; ++i) text += "<tool_call>";
  ReplyParser parser(kNotThinking);
  parser.feed(text);
  parser.finish();
  EXPECT_EQ(parser.reply().content, text);
}

TEST(OpensReasoning, LooksAtTheEndOfThePrompt) {
  EXPECT_TRUE(opens_reasoning("<|im_start|>assistant\n<think>\n"));
  EXPECT_FALSE(opens_reasoning("<|im_start|>assistant\n<think>\n\n</think>\n\n"));
  EXPECT_FALSE(opens_reasoning("<|im_start|>assistant\n"));
}

}  // namespace
}  // namespace foretoken::chat
