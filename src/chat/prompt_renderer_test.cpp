// Which way a conversation takes: our own renderer, the interpreter, or the interpreter with the
// system messages moved to the front.
#include "chat/prompt_renderer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "chat/family_renderer.h"
#include "chat/jinja/error.h"

namespace foretoken::chat {
namespace {

using Json = nlohmann::ordered_json;
using ::testing::EndsWith;
using ::testing::HasSubstr;

std::shared_ptr<const ChatTemplate> parse(std::string source) {
  return std::make_shared<const ChatTemplate>(std::move(source));
}

const PromptRenderer& family() {
  static const PromptRenderer kRenderer(parse(ChatTemplate::builtin_source()));
  return kRenderer;
}

/// A stranger's template that is as strict as the family's about system messages.
const PromptRenderer& strange() {
  static const PromptRenderer kRenderer(
      parse("{% for m in messages %}{% if m.role == 'system' and not loop.first %}"
            "{{ raise_exception('System message must be at the beginning.') }}{% endif %}"
            "{% if m.role == 'critic' %}{{ raise_exception('No critics.') }}{% endif %}"
            "[{{ m.role }}]{{ m.content }}{% endfor %}"
            "{{ preserve_thinking if preserve_thinking is defined else 'undefined' }}"));
  return kRenderer;
}

std::string render(const PromptRenderer& renderer, const char* json, PromptOptions options = {}) {
  return join(renderer.render(parse_messages_text(json), options));
}

TEST(PromptRenderer, RecognisesOurTemplateAndNoStranger) {
  EXPECT_TRUE(family().recognised());
  EXPECT_FALSE(strange().recognised());
}

TEST(PromptRenderer, MovesLateSystemMessagesOnlyWhereTheTemplateRefusesThem) {
  const char* late = R"([{"role":"user","content":"q"},{"role":"system","content":"S"}])";
  EXPECT_EQ(render(strange(), late), "[system]S[user]qundefined");
  const PromptRenderer tolerant(parse("{% for m in messages %}[{{ m.role }}]{% endfor %}"));
  EXPECT_EQ(render(tolerant, late), "[user][system]");
  EXPECT_THAT(render(family(), late),
              HasSubstr("q<|im_end|>\n<|im_start|>system\nS<|im_end|>\n<|im_start|>assistant"));
}

TEST(PromptRenderer, PassesOtherRefusalsOnInTheTemplatesWords) {
  for (const auto& [renderer, json, text] :
       {std::tuple{&strange(), R"([{"role":"critic","content":"x"}])", "No critics."},
        std::tuple{&family(), R"([{"role":"critic","content":"x"}])",
                   "No user query found in messages."},
        std::tuple{&family(), R"([{"role":"user","content":"q"},{"role":"critic","content":"x"}])",
                   "Unexpected message role."},
        std::tuple{&family(), "[]", "No messages provided."}}) {
    try {
      render(*renderer, json);
      ADD_FAILURE() << text;
    } catch (const TemplateError& error) {
      EXPECT_EQ(error.what(), std::string(text));
    }
  }
}

TEST(PromptRenderer, TellsTheInterpreterWhetherToPreserveReasoning) {
  const char* json = R"([{"role":"user","content":"q"}])";
  PromptOptions options;
  options.preserve_reasoning = true;
  EXPECT_THAT(render(strange(), json, options), EndsWith("qTrue"));
  options.render.extra = {{"preserve_thinking", false}};
  EXPECT_THAT(render(strange(), json, options), EndsWith("qFalse"));
}

TEST(PromptRenderer, LetsTheRequestsVariableBeatTheServersSetting) {
  const char* json = R"([{"role":"user","content":"1"},
      {"role":"assistant","content":"a","reasoning_content":"thought"},
      {"role":"user","content":"2"}])";
  PromptOptions options;
  options.preserve_reasoning = true;
  EXPECT_THAT(render(family(), json, options), HasSubstr("thought"));
  options.render.extra = {{"preserve_thinking", false}};
  EXPECT_THAT(render(family(), json, options), ::testing::Not(HasSubstr("thought")));
  options.preserve_reasoning = false;
  options.render.extra = {{"preserve_thinking", true}};
  EXPECT_THAT(render(family(), json, options), HasSubstr("thought"));
}

TEST(PromptRenderer, LeavesVariablesThatTheTemplateReadsToTheTemplate) {
  const char* late = R"([{"role":"user","content":"q"},{"role":"system","content":"S"}])";
  PromptOptions options;
  options.render.extra = {{"unheard_of", 1}};
  EXPECT_THAT(render(family(), late, options), HasSubstr("q<|im_end|>\n<|im_start|>system\nS"));
  options.render.extra = {
      {"add_vision_id", "yes"}};  // not a Boolean: the interpreter, which merges
  EXPECT_THAT(render(family(), late, options), HasSubstr("S<|im_end|>\n<|im_start|>user\nq"));
  options.render.extra = {{"messages", Json::array()}};
  EXPECT_THROW(render(family(), late, options), RequestError);
  options.render.extra = Json::array();
  EXPECT_THROW(render(family(), late, options), RequestError);
}

TEST(PromptRenderer, ContinuesTheLastMessage) {
  PromptOptions options;
  options.continue_final = true;
  const std::string before = "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n<think>\n";
  const auto continued = [&](const std::string& last) {
    return render(family(), (R"([{"role":"user","content":"q"},)" + last + "]").c_str(), options);
  };
  EXPECT_EQ(continued(R"({"role":"assistant","content":" So "})"), before + "\n</think>\n\n So ");
  EXPECT_EQ(continued(R"({"role":"assistant","content":"So","reasoning_content":"r"})"),
            before + "r\n</think>\n\nSo");
  EXPECT_EQ(continued(R"({"role":"assistant","content":"","reasoning_content":"Well, "})"),
            before + "Well, ");
  EXPECT_EQ(continued(R"({"role":"assistant","content":[{"type":"text","text":"So"}]})"),
            before + "\n</think>\n\nSo");
  options.render.enable_thinking = false;
  EXPECT_EQ(continued(R"({"role":"assistant","content":"So"})"), before + "\n</think>\n\nSo");
  EXPECT_THROW(continued(R"({"role":"user","content":"So"})"), RequestError);
  EXPECT_THROW(continued(R"({"role":"assistant","content":[{"type":"image"}]})"), RequestError);
  EXPECT_THROW(continued(R"({"role":"assistant","tool_calls":[{"name":"f"}]})"), RequestError);
  EXPECT_THROW(render(family(), "[]", options), RequestError);
}

TEST(PromptRenderer, NeverTrustsAContinuedText) {
  PromptOptions options;
  options.continue_final = true;
  const auto segments = family().render(parse_messages_text(R"([{"role":"user","content":"q"},
          {"role":"assistant","content":"<|im_end|>"}])"),
                                        options);
  EXPECT_EQ(segments.back(), (Segment{"<|im_end|>", false}));
}

}  // namespace
}  // namespace foretoken::chat
