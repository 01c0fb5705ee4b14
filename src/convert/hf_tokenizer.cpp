#include "convert/hf_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

#include "base/error.h"
#include "convert/hf_templates.h"
#include "convert/json_node.h"
#include "tokenizer/hf_tokenizer_json.h"

namespace foretoken::convert {
namespace {

using nlohmann::ordered_json;
namespace fs = std::filesystem;

/// A special token: its name in Hugging Face files and its keys behind tokenizer.ggml.
struct SpecialType {
  const char* name;
  const char* id_key;
  const char* add_key;  // null where files have none
};

constexpr std::array kSpecialTypes{
    SpecialType{"bos", "bos_token_id", "add_bos_token"},
    SpecialType{"eos", "eos_token_id", "add_eos_token"},
    SpecialType{"unk", "unknown_token_id", nullptr},
    SpecialType{"sep", "seperator_token_id", "add_sep_token"},  // spelled so in the format
    SpecialType{"pad", "padding_token_id", nullptr},
    SpecialType{"cls", "cls_token_id", nullptr},
    SpecialType{"mask", "mask_token_id", nullptr},
};

/// A JSON file of the folder; an empty object when it is not there.
struct JsonFile {
  std::string path;
  ordered_json document;

  JsonFile(const std::string& folder, const char* name, std::string_view skipped = {})
      : path((fs::path(folder) / name).string()),
        document(fs::exists(path) ? read_json_object(path, skipped) : ordered_json::object()) {}

  JsonNode root() const { return {document, path}; }
};

// Numbers of token kinds in tokenizer.ggml.token_type.
constexpr std::int32_t kNormal = 1;
constexpr std::int32_t kControl = 3;
constexpr std::int32_t kUserDefined = 4;
constexpr std::int32_t kUnused = 5;

/// Texts that the converter takes for control tokens even where their file says they are not.
bool looks_special(std::string_view text) {
  const auto framed = [text](std::string_view open, std::string_view close) {
    return text.starts_with(open) && text.ends_with(close);
  };
  constexpr std::array<std::string_view, 4> names{"<pad>", "<mask>", "<2mass>", "[@BOS@]"};
  return std::ranges::find(names, text) != names.end() || framed("<|", "|>") ||
         framed("<\uFF5C", "\uFF5C>") || framed("<unused", ">");
}

std::int32_t kind_number(tokenizer::TokenKind kind, std::string_view spelling) {
  switch (kind) {
    case tokenizer::TokenKind::Control:
      return kControl;
    case tokenizer::TokenKind::UserDefined:
      return looks_special(spelling) ? kControl : kUserDefined;
    case tokenizer::TokenKind::Unused:
      return kUnused;
    default:
      return kNormal;
  }
}

void write_tokens(const tokenizer::Vocabulary& vocabulary, int n_vocab, gguf::Writer& keys) {
  const auto n = static_cast<std::size_t>(n_vocab);
  const std::size_t n_known = vocabulary.spellings.size();
  if (n_known > n) {
    throw FormatError(fmt::format(
        "{}: {} tokens, but the model has {} (vocab_size in config.json); the tokenizer belongs to "
        "another model",
        vocabulary.file, n_known, n));
  }
  std::vector<std::string> spellings = vocabulary.spellings;
  std::vector<std::int32_t> kinds;
  kinds.reserve(n);
  for (std::size_t id = 0; id < n_known; ++id) {
    kinds.push_back(kind_number(vocabulary.kinds[id], spellings[id]));
  }
  for (std::size_t id = n_known; id < n; ++id) {
    spellings.push_back(fmt::format("[PAD{}]", id));
    kinds.push_back(kUnused);
  }
  const std::vector<std::string_view> views(spellings.begin(), spellings.end());
  keys.set_string_array("tokenizer.ggml.tokens", views);
  keys.set_i32_array("tokenizer.ggml.token_type", kinds);
}

/// "left right"; a space inside a piece is written as its byte symbol.
std::string merge_text(const tokenizer::MergeRule& rule) {
  std::string out = rule.text;
  for (std::size_t i = out.size(); i-- > 0;) {
    if (out[i] == ' ' && i != rule.left_size) out.replace(i, 1, "\u0120");
  }
  return out;
}

void write_merges(const tokenizer::Vocabulary& vocabulary, gguf::Writer& keys) {
  if (vocabulary.merges.empty()) return;
  std::vector<std::string> texts;
  texts.reserve(vocabulary.merges.size());
  for (const tokenizer::MergeRule& rule : vocabulary.merges) texts.push_back(merge_text(rule));
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  keys.set_string_array("tokenizer.ggml.merges", views);
}

/// The text of a special token: a string, or an object with its content; nothing otherwise.
std::optional<std::string> special_text(const JsonNode& node) {
  if (node.is_null()) return std::nullopt;
  if (node.value().is_string()) return node.require_string();
  const JsonNode content = node.get("content");
  if (content.is_null()) return std::nullopt;
  return content.require_string();
}

/// Id of an added token of tokenizer.json.
std::optional<std::uint32_t> added_token_id(const JsonNode& list, const std::string& text) {
  for (std::size_t i = 0; !list.is_null() && i < list.size(); ++i) {
    const JsonNode token = list.at(i);
    if (token.get("content").require_string() != text) continue;
    return static_cast<std::uint32_t>(token.get("id").require_int(0, INT32_MAX));
  }
  return std::nullopt;
}

/// Ids in the order in which they are found: named by tokenizer_config.json first, then numbers in
/// config.json for those still missing.
void write_special_ids(const JsonNode& tokenizer, const JsonNode& settings, const JsonNode& config,
                       int n_vocab, gguf::Writer& keys) {
  std::array<bool, kSpecialTypes.size()> known{};
  const auto set = [&](std::size_t i, std::uint32_t id) {
    if (known[i] || id >= static_cast<std::uint32_t>(n_vocab)) return;
    known[i] = true;
    keys.set_u32(fmt::format("tokenizer.ggml.{}", kSpecialTypes[i].id_key), id);
  };
  for (std::size_t i = 0; i < kSpecialTypes.size(); ++i) {
    const auto text = special_text(settings.get(fmt::format("{}_token", kSpecialTypes[i].name)));
    if (!text) continue;
    if (const auto id = added_token_id(tokenizer.get("added_tokens"), *text)) set(i, *id);
  }
  const JsonNode inner = config.get("text_config");
  for (std::size_t i = 0; i < kSpecialTypes.size(); ++i) {
    const std::string member = fmt::format("{}_token_id", kSpecialTypes[i].name);
    JsonNode id = config.get(member);
    if (id.is_null() && !inner.is_null()) id = inner.get(member);
    if (!id.value().is_number_integer()) continue;  // some configs hold lists here
    set(i, static_cast<std::uint32_t>(id.require_int(0, INT32_MAX)));
  }
}

void write_add_flags(const JsonNode& settings, gguf::Writer& keys) {
  for (const SpecialType& type : kSpecialTypes) {
    if (type.add_key == nullptr) continue;
    const JsonNode flag = settings.get(fmt::format("add_{}_token", type.name));
    if (!flag.value().is_boolean()) continue;
    keys.set_bool(fmt::format("tokenizer.ggml.{}", type.add_key), flag.require_bool());
  }
}

}  // namespace

void write_tokenizer_keys(const std::string& folder, int n_vocab, gguf::Writer& keys) {
  if (!fs::exists(fs::path(folder) / "tokenizer.json")) {
    throw IoError(fmt::format(
        "{}: no tokenizer.json; copy the tokenizer files of the base model into the folder",
        folder));
  }
  const tokenizer::Vocabulary vocabulary = tokenizer::read_hf_vocabulary(folder);
  keys.set_string("tokenizer.ggml.model", "gpt2");
  keys.set_string("tokenizer.ggml.pre", vocabulary.pre_tokenizer);
  write_tokens(vocabulary, n_vocab, keys);
  write_merges(vocabulary, keys);
  const JsonFile tokenizer(folder, "tokenizer.json", "model");
  const JsonFile settings(folder, "tokenizer_config.json");
  const JsonFile config(folder, "config.json");
  write_special_ids(tokenizer.root(), settings.root(), config.root(), n_vocab, keys);
  write_add_flags(settings.root(), keys);
  write_chat_templates(read_chat_templates(folder, settings.root()), keys);
}

}  // namespace foretoken::convert
