// See completion_prompt.h.
#include "api/completion_prompt.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "api/field_reader.h"
#include "api/request_body.h"
#include "base/error.h"

namespace foretoken::api {
namespace {

constexpr std::size_t kMaxPrompts = 4096;

TokenId checked_id(const Context& context, const Json& value, const char* field) {
  const int n_vocab = context.tokenizer->n_vocab();
  if (!value.is_number_integer() || value < 0 || value >= n_vocab) {
    refuse_field(field,
                 fmt::format("{} is not a token id from 0 to {}", value.dump(), n_vocab - 1));
  }
  return value.get<TokenId>();
}

bool has_number(const Json& array) {
  return std::ranges::any_of(array, [](const Json& item) { return item.is_number(); });
}

std::vector<TokenId> read_one(const Context& context, const Json& prompt) {
  if (prompt.is_string() || prompt.is_array()) return tokenize_mixed(context, prompt, true);
  if (const Json* text = find_field(prompt, "prompt_string")) {
    const Json* media = find_field(prompt, "multimodal_data");
    if (media != nullptr && !(media->is_array() && media->empty())) {
      throw RequestError(
          "image input is not supported - hint: if this is unexpected, you may need to provide the "
          "mmproj");
    }
    return tokenize_mixed(context, *text, true);
  }
  refuse_field("prompt",
               "expected a string, a list of tokens, a list of mixed strings and tokens, or an "
               "object with a prompt_string");
}

}  // namespace

std::vector<TokenId> tokenize_mixed(const Context& context, const Json& content,
                                    bool parse_special) {
  const tokenizer::EncodeOptions options{.parse_special = parse_special};
  if (content.is_string()) {
    return context.tokenizer->encode(content.get_ref<const std::string&>(), options);
  }
  if (!content.is_array()) {
    throw RequestError(fmt::format(
        "a text, or a list of strings and token ids, is expected, not {}", content.type_name()));
  }
  std::vector<TokenId> tokens;
  for (const Json& item : content) {
    if (item.is_string()) {
      const auto ids = context.tokenizer->encode(item.get_ref<const std::string&>(), options);
      tokens.insert(tokens.end(), ids.begin(), ids.end());
    } else {
      tokens.push_back(checked_id(context, item, "prompt"));
    }
  }
  return tokens;
}

std::vector<TokenId> read_token_ids(const Context& context, const Json& ids, const char* field) {
  if (!ids.is_array()) refuse_field(field, "must be an array of token ids");
  std::vector<TokenId> tokens;
  for (const Json& id : ids) tokens.push_back(checked_id(context, id, field));
  return tokens;
}

std::vector<std::vector<TokenId>> read_prompts(const Context& context, const Json& prompt) {
  std::vector<std::vector<TokenId>> prompts;
  if (prompt.is_array() && !has_number(prompt)) {
    // Each becomes a reply with all that belongs to one, long before the queue is full.
    if (prompt.size() > kMaxPrompts) {
      refuse_field("prompt", fmt::format("at most {} prompts are allowed", kMaxPrompts));
    }
    for (const Json& one : prompt) prompts.push_back(read_one(context, one));
  } else {
    prompts.push_back(read_one(context, prompt));
  }
  if (prompts.empty()) refuse_field("prompt", "must not be empty");
  return prompts;
}

}  // namespace foretoken::api
