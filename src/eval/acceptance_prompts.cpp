#include "eval/acceptance_prompts.h"

#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "chat/chat_template.h"
#include "chat/conversation.h"
#include "chat/json_text.h"
#include "eval/bundled_text.h"

namespace foretoken::eval {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kMaxText = std::size_t{64} << 20;
constexpr std::size_t kMaxCategories = 1000;
constexpr std::size_t kMaxPrompts = 100'000;
constexpr std::size_t kMaxName = 64;
constexpr int kMaxDepth = 64;

/// Adds the place to what the parsers of chat/ say about a message or a tool.
template <class Parse>
auto at(const std::string& where, const Parse& parse) {
  try {
    return parse();
  } catch (const RequestError& error) {
    throw RequestError(fmt::format("{}: {}", where, error.what()));
  }
}

AcceptancePrompt parse_prompt(const ordered_json& value, const std::string& where) {
  const ordered_json* messages = &value;
  AcceptancePrompt out;
  if (value.is_string()) {
    out.messages = {{{"role", "user"}, {"content", value}}};
    return out;
  }
  if (value.is_object()) {
    const auto found = value.find("messages");
    if (found == value.end()) {
      throw RequestError(where + ": a prompt that is an object needs \"messages\"");
    }
    messages = &*found;
    const auto tools = value.find("tools");
    if (tools != value.end()) {
      out.tools = at(where, [&] { return chat::normalise_tools(*tools); });
    }
  }
  if (!messages->is_array() || messages->empty()) {
    throw RequestError(where +
                       ": a prompt is a text, a list of messages, or an object with both "
                       "\"messages\" and \"tools\"");
  }
  out.messages = at(where, [&] { return chat::to_json(chat::parse_messages(*messages)); });
  return out;
}

AcceptanceCategory parse_category(const ordered_json& value, const std::string& where) {
  if (!value.is_object()) throw RequestError(where + ": a category is an object");
  const auto name = value.find("name");
  if (name == value.end() || !name->is_string() || name->get_ref<const std::string&>().empty() ||
      name->get_ref<const std::string&>().size() > kMaxName) {
    throw RequestError(
        fmt::format("{}: a category needs a \"name\" of 1 to {} bytes", where, kMaxName));
  }
  AcceptanceCategory out;
  out.name = printable(name->get_ref<const std::string&>(), kMaxName);
  const auto prompts = value.find("prompts");
  if (prompts == value.end() || !prompts->is_array() || prompts->empty()) {
    throw RequestError(where + ": a category needs \"prompts\", a list that is not empty");
  }
  for (std::size_t i = 0; i < prompts->size(); ++i) {
    out.prompts.push_back(parse_prompt((*prompts)[i], fmt::format("{}.prompts[{}]", where, i)));
  }
  return out;
}

}  // namespace

std::vector<AcceptanceCategory> parse_acceptance_prompts(std::string_view json_text,
                                                         std::string_view what) {
  if (json_text.size() > kMaxText) {
    throw RequestError(fmt::format("{}: {} bytes of prompts are more than the {} allowed", what,
                                   json_text.size(), kMaxText));
  }
  const ordered_json root = chat::parse_json(json_text, kMaxDepth, what);
  const auto categories = root.is_object() ? root.find("categories") : root.end();
  if (!root.is_object() || categories == root.end() || !categories->is_array() ||
      categories->empty() || categories->size() > kMaxCategories) {
    throw RequestError(fmt::format(
        "{}: expected an object with \"categories\", a list of 1 to {}; write for example "
        "{{\"categories\": [{{\"name\": \"code\", \"prompts\": [\"Write a loop.\"]}}]}}",
        what, kMaxCategories));
  }
  std::vector<AcceptanceCategory> out;
  std::size_t n_prompts = 0;
  for (std::size_t i = 0; i < categories->size(); ++i) {
    out.push_back(parse_category((*categories)[i], fmt::format("{}: categories[{}]", what, i)));
    n_prompts += out.back().prompts.size();
    if (n_prompts > kMaxPrompts) {
      throw RequestError(fmt::format("{}: more than {} prompts", what, kMaxPrompts));
    }
  }
  return out;
}

std::vector<AcceptanceCategory> bundled_acceptance_categories() {
  return parse_acceptance_prompts(bundled_acceptance_prompts(), "bundled prompts");
}

std::vector<TokenId> encode_prompt(const tokenizer::Tokenizer& tokenizer,
                                   const AcceptancePrompt& prompt, bool thinking) {
  const chat::ChatTemplate chat(
      tokenizer.chat_template().value_or(chat::ChatTemplate::builtin_source()));
  chat::RenderOptions options;
  options.enable_thinking = thinking;
  options.tools = prompt.tools;
  std::vector<tokenizer::Segment> segments;
  for (chat::Segment& part : chat.render(prompt.messages, options)) {
    segments.push_back({std::move(part.text), part.trusted});
  }
  return tokenizer.encode(segments);
}

}  // namespace foretoken::eval
