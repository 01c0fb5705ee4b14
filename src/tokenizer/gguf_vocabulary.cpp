#include "tokenizer/gguf_vocabulary.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/text.h"
#include "gguf/file.h"

namespace foretoken::tokenizer {
namespace {

constexpr const char* kModelKey = "tokenizer.ggml.model";
constexpr const char* kPreKey = "tokenizer.ggml.pre";
constexpr const char* kTokensKey = "tokenizer.ggml.tokens";
constexpr const char* kKindsKey = "tokenizer.ggml.token_type";
constexpr const char* kMergesKey = "tokenizer.ggml.merges";
constexpr const char* kTemplateKey = "tokenizer.chat_template";

TokenKind to_kind(std::int32_t value, std::size_t id, const std::string& file) {
  if (value < static_cast<int>(TokenKind::Normal) || value > static_cast<int>(TokenKind::Byte)) {
    throw FormatError(
        fmt::format("{}: {} says {} for token {}; expected 1 to 6", file, kKindsKey, value, id));
  }
  return static_cast<TokenKind>(value);
}

MergeRule to_merge(std::string_view text, std::size_t rank, const std::string& file) {
  const std::size_t space = text.find(' ');
  const bool two_parts = space != std::string_view::npos && space > 0 && space + 1 < text.size() &&
                         text.find(' ', space + 1) == std::string_view::npos;
  if (!two_parts) {
    throw FormatError(fmt::format("{}: {}[{}] is {}; expected two pieces with one space between",
                                  file, kMergesKey, rank, foretoken::quoted(text)));
  }
  return {std::string(text), space};
}

}  // namespace

Vocabulary read_gguf_vocabulary(const gguf::File& file) {
  const gguf::Metadata& metadata = file.metadata();
  Vocabulary vocabulary;
  vocabulary.file = metadata.file();
  vocabulary.tokens_key = kTokensKey;
  vocabulary.merges_key = kMergesKey;
  if (const auto model = metadata.require_string(kModelKey); model != "gpt2") {
    throw UnsupportedError(fmt::format("{}: {} is {}; only byte-level BPE (\"gpt2\") is supported",
                                       vocabulary.file, kModelKey, foretoken::quoted(model)));
  }
  vocabulary.pre_tokenizer = metadata.require_string(kPreKey);

  const auto require = [&](const auto& array, const char* key) -> const auto& {
    if (!array) throw FormatError(fmt::format("{}: key {} is missing", vocabulary.file, key));
    return *array;
  };
  const auto tokens_array = metadata.find_string_array(kTokensKey);
  const auto kinds_array = metadata.find_i32_array(kKindsKey);
  const auto merges_array = metadata.find_string_array(kMergesKey);
  const auto& tokens = require(tokens_array, kTokensKey);
  const auto& kinds = require(kinds_array, kKindsKey);
  const auto& merges = require(merges_array, kMergesKey);
  if (kinds.size() != tokens.size()) {
    throw FormatError(fmt::format("{}: {} has {} entries but {} has {}; expected as many",
                                  vocabulary.file, kKindsKey, kinds.size(), kTokensKey,
                                  tokens.size()));
  }
  vocabulary.spellings.assign(tokens.begin(), tokens.end());
  vocabulary.kinds.reserve(kinds.size());
  for (std::size_t id = 0; id < kinds.size(); ++id) {
    vocabulary.kinds.push_back(to_kind(kinds[id], id, vocabulary.file));
  }
  vocabulary.merges.reserve(merges.size());
  for (std::size_t rank = 0; rank < merges.size(); ++rank) {
    vocabulary.merges.push_back(to_merge(merges[rank], rank, vocabulary.file));
  }

  for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"}) {
    const auto id = metadata.find_u32(key);
    if (!id) continue;
    if (*id >= tokens.size()) {
      throw FormatError(fmt::format("{}: {} is {}, outside the vocabulary of {} tokens",
                                    vocabulary.file, key, *id, tokens.size()));
    }
    vocabulary.end_ids.push_back(static_cast<TokenId>(*id));
  }
  if (const auto text = metadata.find_string(kTemplateKey)) {
    vocabulary.chat_template = std::string(*text);
  }
  return vocabulary;
}

}  // namespace foretoken::tokenizer
