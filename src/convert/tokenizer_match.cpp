#include "convert/tokenizer_match.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/text.h"
#include "tokenizer/gguf_vocabulary.h"
#include "tokenizer/hf_tokenizer_json.h"

namespace foretoken::convert {
namespace {

namespace fs = std::filesystem;
using tokenizer::Vocabulary;

bool is_free_slot(const Vocabulary& vocabulary, std::size_t id) {
  return id >= vocabulary.spellings.size() ||
         tokenizer::is_padding_name(vocabulary.spellings[id], id);
}

void compare_tokens(const Vocabulary& base, const Vocabulary& finetune,
                    const std::string& base_name, const std::string& finetune_name,
                    TokenizerMatch& out) {
  std::size_t n_other = 0;
  std::size_t n_added = 0;
  std::size_t n_removed = 0;
  std::string first_other;
  std::string first_added;
  const std::size_t n = std::max(base.spellings.size(), finetune.spellings.size());
  for (std::size_t id = 0; id < n; ++id) {
    const bool free_base = is_free_slot(base, id);
    const bool free_finetune = is_free_slot(finetune, id);
    if (free_base && free_finetune) continue;
    if (free_base && ++n_added == 1) first_added = quoted(finetune.spellings[id], 48);
    if (free_finetune) ++n_removed;
    if (free_base || free_finetune || base.spellings[id] == finetune.spellings[id]) continue;
    if (++n_other == 1) {
      first_other = fmt::format("{} is {} in {} and {} in {}", id, quoted(base.spellings[id], 48),
                                base_name, quoted(finetune.spellings[id], 48), finetune_name);
    }
  }
  if (n_other > 0) {
    out.differences.push_back(
        fmt::format("the tokenizers differ in {} of {} tokens: {}", n_other, n, first_other));
  }
  if (n_added > 0) {
    out.notes.push_back(
        fmt::format("{} has {} tokens that {} lacks, {} the first: the head has "
                    "never seen them and will guess worse around them",
                    finetune_name, n_added, base_name, first_added));
  }
  if (n_removed > 0) {
    out.notes.push_back(
        fmt::format("{} lacks {} tokens of {}", finetune_name, n_removed, base_name));
  }
}

void compare_merges(const Vocabulary& base, const Vocabulary& finetune,
                    const std::string& base_name, const std::string& finetune_name,
                    TokenizerMatch& out) {
  if (base.merges.size() != finetune.merges.size()) {
    out.differences.push_back(
        fmt::format("the tokenizers differ in their merges: {} in {}, {} in "
                    "{}",
                    base.merges.size(), base_name, finetune.merges.size(), finetune_name));
    return;
  }
  for (std::size_t i = 0; i < base.merges.size(); ++i) {
    if (base.merges[i].text == finetune.merges[i].text) continue;
    out.differences.push_back(
        fmt::format("the tokenizers differ in their merges: number {} is {} in {} and {} in {}", i,
                    quoted(base.merges[i].text, 48), base_name, quoted(finetune.merges[i].text, 48),
                    finetune_name));
    return;
  }
}

/// Equal files need not be read: most fine-tunes carry their base's along.
bool have_equal_files(const GraftInput& base, const GraftInput& finetune) {
  if (base.is_gguf() || finetune.is_gguf() || base.is_head_file) return false;
  constexpr std::array kNames = {"tokenizer.json", "tokenizer_config.json"};
  return std::ranges::all_of(kNames, [&](const char* name) {
    const fs::path a = fs::path(base.path) / name;
    const fs::path b = fs::path(finetune.path) / name;
    std::error_code error;
    if (!fs::exists(a, error) || !fs::exists(b, error)) return false;
    const MappedFile file_a(a.string());
    const MappedFile file_b(b.string());
    return std::ranges::equal(file_a.bytes(), file_b.bytes());
  });
}

std::optional<Vocabulary> read_vocabulary(const GraftInput& input, TokenizerMatch& out) {
  try {
    if (input.is_gguf()) return tokenizer::read_gguf_vocabulary(*input.file);
    if (input.is_head_file) {
      out.notes.push_back(input.path +
                          ": a head alone has no tokenizer, so whether the two read "
                          "text alike was not checked");
      return std::nullopt;
    }
    return tokenizer::read_hf_vocabulary(input.path);
  } catch (const FormatError& error) {
    out.differences.push_back(fmt::format("a tokenizer is damaged: {}", error.what()));
    return std::nullopt;
  } catch (const Error& error) {
    out.notes.push_back(
        fmt::format("whether the two read text alike could not be checked: {}", error.what()));
    return std::nullopt;
  }
}

}  // namespace

TokenizerMatch compare_vocabularies(const Vocabulary& base, const Vocabulary& finetune,
                                    const std::string& base_name,
                                    const std::string& finetune_name) {
  TokenizerMatch out;
  compare_tokens(base, finetune, base_name, finetune_name, out);
  compare_merges(base, finetune, base_name, finetune_name, out);
  if (base.pre_tokenizer != finetune.pre_tokenizer) {
    out.differences.push_back(fmt::format("the tokenizers cut text differently: {} in {}, {} in {}",
                                          base.pre_tokenizer, base_name, finetune.pre_tokenizer,
                                          finetune_name));
  }
  return out;
}

TokenizerMatch match_tokenizers(const GraftInput& base, const GraftInput& finetune) {
  TokenizerMatch out;
  if (have_equal_files(base, finetune)) return out;
  const std::optional<Vocabulary> of_base = read_vocabulary(base, out);
  if (!of_base) return out;
  const std::optional<Vocabulary> of_finetune = read_vocabulary(finetune, out);
  if (!of_finetune) return out;
  return compare_vocabularies(*of_base, *of_finetune, base.path, finetune.path);
}

}  // namespace foretoken::convert
