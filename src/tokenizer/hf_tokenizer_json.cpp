#include "tokenizer/hf_tokenizer_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <span>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/text.h"
#include "tokenizer/pretokenize.h"

namespace foretoken::tokenizer {
namespace {

using nlohmann::json;

// Slots that no entry names are filled up as padding; a stray huge id must not fill memory.
constexpr std::size_t kMaxHoles = 1 << 16;

/// One JSON value with the path that led to it, for error texts.
class Node {
 public:
  Node(const json& value, const std::string& file, std::string path)
      : value_(&value), file_(&file), path_(std::move(path)) {}

  const json& value() const { return *value_; }
  bool is_null() const { return value_->is_null(); }
  std::string where() const { return fmt::format("{}: {}", *file_, printable(path_)); }

  /// A member; null when absent. Throws when this is not an object.
  Node get(const char* key) const {
    static const json absent;
    if (!value_->is_object()) throw_type("an object");
    const auto member = value_->find(key);
    return child(key, member == value_->end() ? absent : *member);
  }
  /// The member `key`, which the caller has at hand.
  Node child(const std::string& key, const json& member) const {
    return {member, *file_, path_.empty() ? key : path_ + "." + key};
  }
  Node at(std::size_t i) const { return {(*value_)[i], *file_, fmt::format("{}[{}]", path_, i)}; }

  const std::string& require_string() const {
    if (!value_->is_string()) throw_type("a string");
    return value_->get_ref<const std::string&>();
  }
  bool bool_or(bool fallback) const {
    if (value_->is_null()) return fallback;
    if (!value_->is_boolean()) throw_type("true or false");
    return value_->get<bool>();
  }
  TokenId require_id() const {
    constexpr std::uint64_t kMax = INT32_MAX;
    if (!value_->is_number_unsigned() || value_->get<std::uint64_t>() > kMax) {
      throw_type("a token id");
    }
    return value_->get<TokenId>();
  }
  const json& require_array() const {
    if (!value_->is_array()) throw_type("an array");
    return *value_;
  }
  const json& require_object() const {
    if (!value_->is_object()) throw_type("an object");
    return *value_;
  }

  [[noreturn]] void throw_type(std::string_view expected) const {
    throw FormatError(fmt::format("{} is {}; expected {}", where(), shown(), expected));
  }
  [[noreturn]] void throw_unsupported(std::string_view supported) const {
    throw UnsupportedError(fmt::format("{} is {}; supported is {}", where(), shown(), supported));
  }

 private:
  std::string shown() const {
    if (value_->is_structured()) return value_->is_array() ? "an array" : "an object";
    return printable(value_->dump());
  }

  const json* value_;
  const std::string* file_;
  std::string path_;
};

json parse_json(const std::string& text, const std::string& file) {
  try {
    json value = json::parse(text);
    if (!value.is_object()) throw FormatError(fmt::format("{}: expected a JSON object", file));
    return value;
  } catch (const json::exception& error) {
    throw FormatError(fmt::format("{}: not valid JSON: {}", file, printable(error.what(), 256)));
  }
}

void require_type(const Node& node, std::string_view type) {
  const Node name = node.get("type");
  if (name.require_string() != type) name.throw_unsupported(fmt::format("\"{}\"", type));
}

void require_false(const Node& node) {
  if (node.bool_or(false)) node.throw_unsupported("false");
}

void require_empty(const Node& node) {
  if (!node.is_null() && !node.require_string().empty()) node.throw_unsupported("\"\" or null");
}

/// "NFC" or nothing; true for NFC.
bool read_normalizer(const Node& node) {
  if (node.is_null()) return false;
  if (node.get("type").require_string() == "Sequence") {
    const Node list = node.get("normalizers");
    if (list.require_array().size() == 1) return read_normalizer(list.at(0));
  }
  require_type(node, "NFC");
  return true;
}

/// Split by one of our expressions, then byte symbols; returns the expression's name.
std::string read_pre_tokenizer(const Node& node) {
  require_type(node, "Sequence");
  const Node steps = node.get("pretokenizers");
  if (steps.require_array().size() != 2) steps.throw_unsupported("[Split, ByteLevel]");
  const Node split = steps.at(0);
  const Node bytes = steps.at(1);
  require_type(split, "Split");
  require_type(bytes, "ByteLevel");
  require_false(split.get("invert"));
  const Node behavior = split.get("behavior");
  if (behavior.require_string() != "Isolated") behavior.throw_unsupported("\"Isolated\"");
  require_false(bytes.get("add_prefix_space"));
  const Node regex = bytes.get("use_regex");
  if (regex.bool_or(true)) regex.throw_unsupported("false");
  const Node expression = split.get("pattern").get("Regex");
  const std::string_view name = pre_tokenizer_name(expression.require_string());
  if (name.empty()) {
    expression.throw_unsupported("the expression of Qwen2 or of Qwen3.5 (docs/tokenizer.md)");
  }
  return std::string(name);
}

void check_model(const Node& model) {
  require_type(model, "BPE");
  const Node dropout = model.get("dropout");
  if (!dropout.is_null() && dropout.value() != 0) dropout.throw_unsupported("null");
  require_empty(model.get("continuing_subword_prefix"));
  require_empty(model.get("end_of_word_suffix"));
  require_false(model.get("byte_fallback"));
  require_false(model.get("ignore_merges"));
}

std::vector<MergeRule> read_merges(const Node& node) {
  std::vector<MergeRule> merges;
  const json& list = node.require_array();
  merges.reserve(list.size());
  for (std::size_t rank = 0; rank < list.size(); ++rank) {
    const json& rule = list[rank];
    std::string left;
    std::string right;
    if (rule.is_string()) {
      const auto& text = rule.get_ref<const std::string&>();
      const std::size_t space = std::min(text.find(' '), text.size());
      left = text.substr(0, space);
      right = text.substr(std::min(space + 1, text.size()));
    } else if (rule.is_array() && rule.size() == 2 && rule[0].is_string() && rule[1].is_string()) {
      left = rule[0].get<std::string>();
      right = rule[1].get<std::string>();
    }
    if (left.empty() || right.empty()) node.at(rank).throw_type("two pieces");
    const std::size_t left_size = left.size();
    merges.push_back({std::move(left) + " " + right, left_size});
  }
  return merges;
}

/// An entry of the vocabulary under construction; ids may come in any order.
struct Slot {
  std::string spelling;
  TokenKind kind = TokenKind::Normal;
};
using Slots = std::map<TokenId, Slot>;

void read_vocab(const Node& node, Slots& slots) {
  for (const auto& [spelling, value] : node.require_object().items()) {
    const TokenId id = node.child(spelling, value).require_id();
    const auto [place, is_new] = slots.emplace(id, Slot{spelling, TokenKind::Normal});
    if (!is_new) {
      throw FormatError(fmt::format("{}: id {} belongs to both {} and {}", node.where(), id,
                                    foretoken::quoted(place->second.spelling),
                                    foretoken::quoted(spelling)));
    }
  }
}

/// Converters to GGUF call an added token a control token when its file says "special" or when
/// it looks like one: some of Qwen's, such as <|fim_pad|>, are marked as plain by mistake.
TokenKind kind_of_added(const std::string& content, bool special) {
  const bool looks_special = content.starts_with("<|") && content.ends_with("|>");
  return special || looks_special ? TokenKind::Control : TokenKind::UserDefined;
}

void read_added_token(const Node& node, TokenId id, Slots& slots) {
  const std::string& content = node.get("content").require_string();
  for (const char* key : {"single_word", "lstrip", "rstrip"}) require_false(node.get(key));
  const Slot slot{content, kind_of_added(content, node.get("special").bool_or(false))};
  const auto [place, is_new] = slots.emplace(id, slot);
  if (is_new) return;
  // The same token may be listed twice: in the vocabulary proper, or in both files.
  if (place->second.spelling != content) {
    throw FormatError(fmt::format("{}: id {} is {} here and {} elsewhere", node.where(), id,
                                  foretoken::quoted(content),
                                  foretoken::quoted(place->second.spelling)));
  }
  place->second.kind = slot.kind;
}

void read_added_list(const Node& list, Slots& slots) {
  if (list.is_null()) return;
  for (std::size_t i = 0; i < list.require_array().size(); ++i) {
    const Node token = list.at(i);
    read_added_token(token, token.get("id").require_id(), slots);
  }
}

void read_added_decoder(const Node& decoder, Slots& slots) {
  if (decoder.is_null()) return;
  for (const auto& [key, value] : decoder.require_object().items()) {
    const Node token = decoder.child(key, value);
    if (key.empty() || key.size() > 9 ||
        !std::ranges::all_of(key, [](char c) { return c >= '0' && c <= '9'; })) {
      throw FormatError(
          fmt::format("{}: {} is not a token id", decoder.where(), foretoken::quoted(key)));
    }
    read_added_token(token, std::stoi(key), slots);
  }
}

void place_slots(Slots&& slots, Vocabulary& vocabulary) {
  if (slots.empty()) {
    throw FormatError(fmt::format("{}: {} is empty", vocabulary.file, vocabulary.tokens_key));
  }
  const std::size_t n_tokens = static_cast<std::size_t>(slots.rbegin()->first) + 1;
  if (n_tokens - slots.size() > kMaxHoles) {
    throw FormatError(fmt::format(
        "{}: id {} is the highest of {} tokens; expected at most {} ids without a token",
        vocabulary.file, n_tokens - 1, slots.size(), kMaxHoles));
  }
  vocabulary.spellings.resize(n_tokens);
  vocabulary.kinds.assign(n_tokens, TokenKind::Unused);
  for (std::size_t id = 0; id < n_tokens; ++id) {
    vocabulary.spellings[id] = fmt::format("[PAD{}]", id);
  }
  for (auto& [id, slot] : slots) {
    vocabulary.spellings[static_cast<std::size_t>(id)] = std::move(slot.spelling);
    vocabulary.kinds[static_cast<std::size_t>(id)] = slot.kind;
  }
}

/// The template is a string, or a list of named ones of which "default" counts.
std::optional<std::string> read_chat_template(const Node& node) {
  if (node.is_null()) return std::nullopt;
  if (!node.value().is_array()) return node.require_string();
  for (std::size_t i = 0; i < node.value().size(); ++i) {
    const Node entry = node.at(i);
    if (entry.get("name").require_string() == "default") {
      return entry.get("template").require_string();
    }
  }
  return std::nullopt;
}

/// The end token: a string, or an object with its content.
void read_end_token(const Node& node, Vocabulary& vocabulary) {
  if (node.is_null()) return;
  const std::string& text =
      node.value().is_object() ? node.get("content").require_string() : node.require_string();
  for (std::size_t id = 0; id < vocabulary.spellings.size(); ++id) {
    const TokenKind kind = vocabulary.kinds[id];
    if (kind != TokenKind::Control && kind != TokenKind::UserDefined) continue;
    if (vocabulary.spellings[id] != text) continue;
    vocabulary.end_ids.push_back(static_cast<TokenId>(id));
    return;
  }
  throw FormatError(
      fmt::format("{} is {}, which is no added token", node.where(), foretoken::quoted(text)));
}

std::string read_text_file(const std::filesystem::path& path) {
  const MappedFile file(path.string());
  const auto bytes = file.bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

Vocabulary parse_hf_vocabulary(const HfTokenizerFiles& files) {
  const json document = parse_json(files.tokenizer_json, files.name);
  const Node root(document, files.name, "");
  Vocabulary vocabulary;
  vocabulary.file = files.name;
  vocabulary.tokens_key = "model.vocab";
  vocabulary.merges_key = "model.merges";
  const Node model = root.get("model");
  check_model(model);
  vocabulary.normalize_nfc = read_normalizer(root.get("normalizer"));
  vocabulary.pre_tokenizer = read_pre_tokenizer(root.get("pre_tokenizer"));
  if (const Node decoder = root.get("decoder"); !decoder.is_null()) {
    require_type(decoder, "ByteLevel");
  }
  // A post-processor of another kind would add tokens around the text.
  if (const Node last = root.get("post_processor"); !last.is_null()) {
    require_type(last, "ByteLevel");
  }
  Slots slots;
  read_vocab(model.get("vocab"), slots);
  read_added_list(root.get("added_tokens"), slots);
  vocabulary.merges = read_merges(model.get("merges"));

  json config_document = json::object();
  if (files.tokenizer_config_json) {
    config_document = parse_json(*files.tokenizer_config_json, files.config_name);
  }
  const Node config(config_document, files.config_name, "");
  read_added_decoder(config.get("added_tokens_decoder"), slots);
  place_slots(std::move(slots), vocabulary);
  read_end_token(config.get("eos_token"), vocabulary);
  vocabulary.chat_template =
      files.chat_template ? files.chat_template : read_chat_template(config.get("chat_template"));
  return vocabulary;
}

Vocabulary read_hf_vocabulary(const std::string& directory) {
  const std::filesystem::path folder(directory);
  const auto optional_text = [&](const char* name) -> std::optional<std::string> {
    if (!std::filesystem::exists(folder / name)) return std::nullopt;
    return read_text_file(folder / name);
  };
  HfTokenizerFiles files;
  files.name = (folder / "tokenizer.json").string();
  files.config_name = (folder / "tokenizer_config.json").string();
  files.tokenizer_json = read_text_file(files.name);
  files.tokenizer_config_json = optional_text("tokenizer_config.json");
  files.chat_template = optional_text("chat_template.jinja");
  return parse_hf_vocabulary(files);
}

}  // namespace foretoken::tokenizer
