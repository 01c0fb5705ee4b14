// See infill_prompt.h.
#include "api/infill_prompt.h"

#include <algorithm>
#include <optional>
#include <string>

#include "api/completion_prompt.h"
#include "api/errors.h"
#include "api/field_reader.h"
#include "api/request_body.h"

namespace foretoken::api {
namespace {

using Tokens = std::vector<TokenId>;

struct FimTokens {
  TokenId prefix = 0;
  TokenId suffix = 0;
  TokenId middle = 0;
  std::optional<TokenId> repository;
  std::optional<TokenId> file;
};

FimTokens require_fim(const tokenizer::Tokenizer& tokenizer) {
  std::string missing;
  const auto find = [&](const char* spelling, const char* name) {
    const auto id = tokenizer.find_special(spelling);
    if (!id) missing += std::string(" ") + name + " token is missing.";
    return id.value_or(0);
  };
  FimTokens fim;
  fim.prefix = find("<|fim_prefix|>", "prefix");
  fim.suffix = find("<|fim_suffix|>", "suffix");
  fim.middle = find("<|fim_middle|>", "middle");
  if (!missing.empty()) throw NotSupported("Infill is not supported by this model:" + missing);
  fim.repository = tokenizer.find_special("<|repo_name|>");
  fim.file = tokenizer.find_special("<|file_sep|>");
  return fim;
}

void append(Tokens& out, const Tokens& tokens) {
  out.insert(out.end(), tokens.begin(), tokens.end());
}

/// File names and contents; nobody outside spells control tokens here.
Tokens extra_tokens(const Context& context, const Json& body, const FimTokens& fim) {
  const auto encode = [&](const std::string& text) {
    return context.tokenizer->encode(text, {.parse_special = false});
  };
  Tokens out;
  if (fim.repository) {
    out.push_back(*fim.repository);
    append(out, encode("myproject\n"));
  }
  const auto open_file = [&](const std::string& name) {
    if (fim.file) out.push_back(*fim.file);
    append(out, encode(name + "\n"));
  };
  if (const Json* extra = find_field(body, "input_extra")) {
    if (!extra->is_array()) {
      refuse_field("input_extra", "must be an array of {\"filename\": string, \"text\": string}");
    }
    for (const Json& file : *extra) {
      const Json* text = find_field(file, "text");
      if (text == nullptr || !text->is_string()) {
        refuse_field("input_extra", "an entry must contain a \"text\" with a string value");
      }
      const Json* name = find_field(file, "filename");
      if (name != nullptr && !name->is_string()) {
        refuse_field("input_extra", "an entry's \"filename\" must be a string");
      }
      open_file(name != nullptr ? name->get<std::string>() : "tmp");
      append(out, encode(text->get_ref<const std::string&>()));
    }
  }
  open_file("filename");
  return out;
}

Tokens require_tokens(const Context& context, const Json& body, const char* field) {
  const Json* value = find_field(body, field);
  if (value == nullptr) refuse_field(field, "is required");
  return tokenize_mixed(context, *value, false);
}

void keep_last(Tokens& tokens, std::size_t n) {
  if (tokens.size() > n) tokens.erase(tokens.begin(), tokens.end() - static_cast<long>(n));
}

}  // namespace

Tokens infill_prompt(const Context& context, const Json& body, int n_room) {
  const FimTokens fim = require_fim(*context.tokenizer);
  Tokens prefix = require_tokens(context, body, "input_prefix");
  Tokens suffix = require_tokens(context, body, "input_suffix");
  if (const Json* prompt = find_field(body, "prompt")) {
    if (!prompt->is_string()) refuse_field("prompt", "must be a string");
    append(prefix, tokenize_mixed(context, *prompt, false));
  }
  Tokens extra = extra_tokens(context, body, fim);

  const auto room = static_cast<std::size_t>(std::max(n_room - 3, 0));  // three markers
  if (prefix.size() + suffix.size() > room) {
    const std::size_t for_suffix = std::max(room / 4, room - std::min(room, prefix.size()));
    suffix.resize(std::min(suffix.size(), for_suffix));
    keep_last(prefix, room - suffix.size());
  }
  keep_last(extra, room - prefix.size() - suffix.size());

  Tokens out = std::move(extra);
  out.push_back(fim.prefix);
  append(out, prefix);
  out.push_back(fim.suffix);
  append(out, suffix);
  out.push_back(fim.middle);
  return out;
}

}  // namespace foretoken::api
