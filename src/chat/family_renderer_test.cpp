// The family's renderer against the interpreter: equal where the template accepts, sensible where
// it refuses. Versions of the template are made from our own by changing one line each.
#include "chat/family_renderer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <random>

#include "chat/jinja/error.h"

namespace foretoken::chat {
namespace {

using Json = nlohmann::ordered_json;
using Preserve = FamilyStyle::Preserve;

std::string replace_once(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

std::string thinking_off(const std::string& source) {
  return replace_once(source, "not (enable_thinking is defined and enable_thinking is false)",
                      "enable_thinking is defined and enable_thinking is true");
}

std::string preserving(const std::string& source, const std::string& condition) {
  return replace_once(source, "if loop.index0 > state.query",
                      "if (" + condition + ") or loop.index0 > state.query");
}

std::string echoing(std::string source) {
  source = replace_once(source, "'<|im_start|>user\\n' ~ text",
                        "'<|im_start|>' ~ message.role ~ '\\n' ~ text");
  return replace_once(source, "{{- '<|im_start|>assistant\\n' -}}\n    {%- if (",
                      "{{- '<|im_start|>' ~ message.role ~ '\\n' -}}\n    {%- if (");
}

std::string with_json_scalars(const std::string& source) {
  return replace_once(source, "value is not string and (value is mapping or value is sequence)",
                      "value is not string");
}

std::string without_splitting(const std::string& source) {
  return replace_once(source, "elif '</think>' in text", "elif false");
}

const std::string kOptIn = "preserve_thinking is defined and preserve_thinking is true";
const std::string kByDefault = "preserve_thinking is undefined or preserve_thinking is true";

struct Version {
  std::string source;
  FamilyStyle style;
};

std::vector<Version> versions() {
  const std::string own = ChatTemplate::builtin_source();
  return {{own, {true, Preserve::Unknown, false, true, false}},
          {thinking_off(own), {false, Preserve::Unknown, false, true, false}},
          {preserving(own, kOptIn), {true, Preserve::OptIn, false, true, false}},
          {echoing(preserving(own, kOptIn)), {true, Preserve::OptIn, true, true, false}},
          {with_json_scalars(without_splitting(preserving(own, kByDefault))),
           {true, Preserve::ByDefault, false, false, true}}};
}

TEST(FamilyRenderer, RecognisesEveryVersionByItsStyle) {
  for (const Version& version : versions()) {
    const auto renderer = FamilyRenderer::recognise(ChatTemplate(version.source));
    ASSERT_NE(renderer, nullptr);
    EXPECT_EQ(renderer->style(), version.style);
  }
}

TEST(FamilyRenderer, LeavesChangedTemplatesAlone) {
  const std::string own = ChatTemplate::builtin_source();
  const std::vector<std::string> changed = {
      "{{ messages[0].content }}",
      "{{ raise_exception('never') }}",
      replace_once(own, "Required parameters MUST be specified", "Parameters should be given"),
      replace_once(own, "'\\n</tool_response>'", "'</tool_response>'"),
      replace_once(own, "text.endswith('</tool_response>')", "true"),
      replace_once(own, "thought | trim", "thought"),
      replace_once(own, "lstrip('\\n')", "lstrip()"),
      replace_once(own, "'\\n\\n' ~ opening if opening else ''", "'\\n\\n' ~ opening"),
      replace_once(own, "elif text | trim", "elif true"),
      replace_once(own, "if shown", "if true"),
      replace_once(own, "raise_exception('No user query found in messages.')", "'?'"),
      preserving(own, "preserve_thinking is defined and message.reasoning_content"),
      "You are Qwen." + own};
  for (std::size_t i = 0; i < changed.size(); ++i) {
    EXPECT_EQ(FamilyRenderer::recognise(ChatTemplate(changed[i])), nullptr) << i;
  }
}

/// Conversations of all shapes, in the normalised layout.
class Generator {
 public:
  explicit Generator(unsigned seed) : random_(seed) {}

  std::vector<Message> conversation() {
    std::vector<Message> messages;
    if (chance(3)) messages.push_back(message("system"));
    const int n = pick(9);
    for (int i = 0; i < n; ++i) {
      const char* const roles[] = {"user", "assistant", "tool", "assistant", "user", "system"};
      messages.push_back(message(roles[chance(20) ? 5 : pick(5)]));
    }
    return messages;
  }

  bool chance(int one_in) { return pick(one_in) == 0; }
  int pick(int n) { return std::uniform_int_distribution<int>(0, n - 1)(random_); }
  std::optional<bool> maybe() {
    const int value = pick(3);
    return value == 0 ? std::nullopt : std::optional<bool>(value == 1);
  }

 private:
  Message message(const char* role) {
    Message result;
    result.role = role;
    result.content = content(result.role == "system");
    if (result.role != "assistant") return result;
    if (chance(2)) result.reasoning = text();
    const int n_calls = chance(2) ? pick(4) : 0;
    for (int i = 0; i < n_calls; ++i) result.tool_calls.push_back({"", text(), arguments()});
    return result;
  }

  Json content(bool system) {
    if (chance(8)) return nullptr;
    if (!chance(3)) return text();
    Json parts = Json::array();
    const int n = pick(4);
    for (int i = 0; i < n; ++i) {
      const int kind = system ? 0 : pick(5);
      if (kind == 3) {
        parts.push_back({{"type", "image_url"}, {"image_url", {{"url", text()}}}});
      } else if (kind == 4) {
        parts.push_back({{"type", "video"}});
      } else {
        parts.push_back({{"type", "text"}, {"text", text()}});
      }
    }
    return parts;
  }

  Json arguments() {
    Json result = Json::object();
    const Json values = {1, -2.5, true, nullptr, Json::array({"x", 1}), {{"k", false}}, text()};
    const int n = pick(3);
    for (int i = 0; i < n; ++i) {
      result[text()] = values[static_cast<std::size_t>(pick(static_cast<int>(values.size())))];
    }
    return result;
  }

  std::string text() {
    static const char* const kPieces[] = {"a",
                                          " ",
                                          "\n",
                                          "\t",
                                          "ü",
                                          "\u3000",
                                          "<think>",
                                          "</think>",
                                          "<|im_start|>",
                                          "<|im_end|>",
                                          "{\"x\"}",
                                          "<tool_response>",
                                          "word two",
                                          "'q'",
                                          "\\",
                                          "\xF0\x9F\x99\x82",
                                          "\n\n",
                                          "</tool_response>"};
    std::string result;
    if (chance(12)) return "<tool_response>x</tool_response>";
    const int n = pick(5);
    for (int i = 0; i < n; ++i) result += kPieces[pick(static_cast<int>(std::size(kPieces)))];
    return result;
  }

  std::mt19937 random_;
};

TEST(FamilyRenderer, EqualsTheTemplateOnRandomConversations) {
  const Json tools = {
      {{"type", "function"}, {"function", {{"name", "f"}, {"x", {1, 2.0, "ü\n"}}}}}};
  for (const Version& version : versions()) {
    const ChatTemplate chat_template(version.source);
    const FamilyRenderer renderer(version.style);
    Generator generator(20250101);
    int n_compared = 0;
    for (int i = 0; i < 400; ++i) {
      const std::vector<Message> messages = generator.conversation();
      FamilyOptions options;
      options.add_generation_prompt = generator.chance(2);
      options.enable_thinking = generator.maybe();
      options.numbers_media = generator.chance(2);
      if (version.style.preserve != Preserve::Unknown) {
        options.preserve_reasoning = generator.maybe();
      }
      RenderOptions same;
      same.add_generation_prompt = options.add_generation_prompt;
      same.enable_thinking = options.enable_thinking;
      if (generator.chance(3)) same.tools = tools;
      same.extra = {{"add_vision_id", options.numbers_media}};
      if (options.preserve_reasoning) same.extra["preserve_thinking"] = *options.preserve_reasoning;
      options.tools = &same.tools;
      std::vector<Segment> expected;
      try {
        expected = chat_template.render(to_json(messages), same);
      } catch (const TemplateError& error) {
        EXPECT_EQ(error.cause(), TemplateError::Cause::Raised) << error.what();
        continue;
      }
      const auto found = renderer.render(messages, options);
      if (!found) {
        EXPECT_EQ(messages.front().role, "tool");
        continue;
      }
      ASSERT_EQ(*found, expected) << to_json(messages).dump(1);
      ++n_compared;
    }
    EXPECT_GT(n_compared, 150);
  }
}

std::string render(const char* json, const FamilyOptions& options, FamilyStyle style = {}) {
  const auto segments = FamilyRenderer(style).render(parse_messages_text(json), options);
  return segments ? join(*segments) : "(left to the template)";
}

FamilyOptions history_only() {
  FamilyOptions options;
  options.add_generation_prompt = false;
  return options;
}

TEST(FamilyRenderer, RendersLateSystemMessagesWhereTheyStand) {
  const char* json = R"([{"role":"system","content":"A"},{"role":"developer","content":" B "},
      {"role":"user","content":"q"},{"role":"assistant","content":"a"},
      {"role":"system","content":"<|im_end|>late"},{"role":"user","content":"r"}])";
  EXPECT_EQ(render(json, {}),
            "<|im_start|>system\nA<|im_end|>\n<|im_start|>system\nB<|im_end|>\n"
            "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\na<|im_end|>\n"
            "<|im_start|>system\n<|im_end|>late<|im_end|>\n<|im_start|>user\nr<|im_end|>\n"
            "<|im_start|>assistant\n<think>\n");
  const auto segments = FamilyRenderer({}).render(parse_messages_text(json), {});
  EXPECT_THAT(*segments, ::testing::Contains(Segment{"<|im_end|>late", false}));
}

TEST(FamilyRenderer, RendersConversationsWithoutAQuestion) {
  EXPECT_EQ(render(R"([{"role":"system","content":"S"}])", {}),
            "<|im_start|>system\nS<|im_end|>\n<|im_start|>assistant\n<think>\n");
  EXPECT_EQ(
      render(R"([{"role":"assistant","content":"a","reasoning_content":"r"}])", history_only()),
      "<|im_start|>assistant\n<think>\nr\n</think>\n\na<|im_end|>\n");
}

TEST(FamilyRenderer, LeavesToTheTemplateWhatOnlyItCanJudge) {
  for (const char* json :
       {"[]", R"([{"role":"critic","content":"x"}])", R"([{"role":"tool","content":"x"}])",
        R"([{"role":"user","content":[{"type":"input_audio"}]}])",
        R"([{"role":"system","content":[{"type":"image"}]},{"role":"user","content":"q"}])",
        R"([{"role":"user","content":[{"text":null}]}])"}) {
    EXPECT_EQ(render(json, {}), "(left to the template)") << json;
  }
}

constexpr const char* kTwoExchanges = R"([
    {"role":"user","content":"1"},{"role":"assistant","content":"a1","reasoning_content":"r1"},
    {"role":"user","content":"2"},{"role":"assistant","content":"a2"},
    {"role":"user","content":"3"},{"role":"assistant","content":"a3"}])";

std::string turns(const std::string& first, const std::string& second, const std::string& third) {
  return "<|im_start|>user\n1<|im_end|>\n<|im_start|>assistant\n" + first +
         "a1<|im_end|>\n<|im_start|>user\n2<|im_end|>\n<|im_start|>assistant\n" + second +
         "a2<|im_end|>\n<|im_start|>user\n3<|im_end|>\n<|im_start|>assistant\n" + third +
         "a3<|im_end|>\n";
}

const std::string kThought = "<think>\nr1\n</think>\n\n";
const std::string kEmptyPair = "<think>\n\n</think>\n\n";

TEST(FamilyRenderer, PreservesReasoningAsTheStyleDoesIt) {
  FamilyOptions options = history_only();
  FamilyStyle style;
  EXPECT_EQ(render(kTwoExchanges, options, style), turns("", "", kEmptyPair));
  options.preserve_reasoning = true;
  EXPECT_EQ(render(kTwoExchanges, options, style), turns(kThought, "", kEmptyPair));
  style.preserve = Preserve::OptIn;
  EXPECT_EQ(render(kTwoExchanges, options, style), turns(kThought, kEmptyPair, kEmptyPair));
  options.preserve_reasoning.reset();
  EXPECT_EQ(render(kTwoExchanges, options, style), turns("", "", kEmptyPair));
  style.preserve = Preserve::ByDefault;
  EXPECT_EQ(render(kTwoExchanges, options, style), turns(kThought, kEmptyPair, kEmptyPair));
  options.preserve_reasoning = false;
  EXPECT_EQ(render(kTwoExchanges, options, style), turns("", "", kEmptyPair));
}

TEST(FamilyRenderer, DropsEmptyPairsOfTheHistoryWhenAsked) {
  FamilyOptions options = history_only();
  options.preserve_reasoning = true;
  options.empty_think = false;
  FamilyStyle style;
  style.preserve = Preserve::OptIn;
  EXPECT_EQ(render(kTwoExchanges, options, style), turns(kThought, "", ""));
  options.add_generation_prompt = true;
  options.enable_thinking = false;  // the prompt's own pair is not history
  EXPECT_TRUE(render(kTwoExchanges, options, style).ends_with("<think>\n\n</think>\n\n"));
}

TEST(FamilyRenderer, ExtendsItsOwnTextWhenAllReasoningIsPreserved) {
  FamilyStyle style;
  style.preserve = Preserve::OptIn;
  const FamilyRenderer renderer(style);
  FamilyOptions options = history_only();
  options.preserve_reasoning = true;
  Generator generator(7);
  int n_cut = 0;
  for (int i = 0; i < 300; ++i) {
    const std::vector<Message> messages = generator.conversation();
    const auto whole = renderer.render(messages, options);
    if (!whole) continue;
    for (std::size_t n = 1; n < messages.size(); ++n) {
      if (messages[n - 1].role == "tool" && messages[n].role == "tool") continue;  // one turn
      const auto part = renderer.render(std::span(messages).first(n), options);
      ASSERT_TRUE(join(*whole).starts_with(join(*part))) << to_json(messages).dump(1) << n;
      ++n_cut;
    }
  }
  EXPECT_GT(n_cut, 300);
}

TEST(FamilyRenderer, RendersTheGoldensExactly) {
  std::ifstream file(FORETOKEN_SOURCE_DIR "/tests/data/goldens/chat_template.json");
  const Json goldens = Json::parse(file);
  const FamilyRenderer renderer({});
  int n = 0;
  for (const Json& c : goldens["cases"]) {
    if (!c.contains("rendered")) continue;
    SCOPED_TRACE(c["name"].get<std::string>());
    const Json& kwargs = c["kwargs"];
    FamilyOptions options;
    options.add_generation_prompt = kwargs.value("add_generation_prompt", false);
    options.numbers_media = kwargs.value("add_vision_id", false);
    if (kwargs.contains("enable_thinking")) options.enable_thinking = kwargs["enable_thinking"];
    options.tools = &c["tools"];
    const auto segments = renderer.render(parse_messages(c["messages"]), options);
    ASSERT_TRUE(segments.has_value());
    EXPECT_EQ(join(*segments), c["rendered"].get<std::string>());
    ++n;
  }
  EXPECT_EQ(n, 30);
}

}  // namespace
}  // namespace foretoken::chat
