#include "synthetic_tokenizer.h"

#include <fmt/format.h>

#include <array>
#include <fstream>
#include <utility>

#include "base/error.h"

namespace foretoken::testing {
namespace {

using nlohmann::ordered_json;

constexpr std::string_view kPattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

struct AddedToken {
  std::string_view text;
  bool special;
};
constexpr std::array kAddedTokens = {
    AddedToken{"<|endoftext|>", true},      AddedToken{"<|im_start|>", true},
    AddedToken{"<|im_end|>", true},         AddedToken{"<|object_ref_start|>", true},
    AddedToken{"<|object_ref_end|>", true}, AddedToken{"<|box_start|>", true},
    AddedToken{"<|box_end|>", true},        AddedToken{"<|quad_start|>", true},
    AddedToken{"<|quad_end|>", true},       AddedToken{"<|vision_start|>", true},
    AddedToken{"<|vision_end|>", true},     AddedToken{"<|vision_pad|>", true},
    AddedToken{"<|image_pad|>", true},      AddedToken{"<|video_pad|>", true},
    AddedToken{"<tool_call>", false},       AddedToken{"</tool_call>", false},
    AddedToken{"<|fim_prefix|>", true},     AddedToken{"<|fim_middle|>", true},
    AddedToken{"<|fim_suffix|>", true},     AddedToken{"<|fim_pad|>", true},
    AddedToken{"<|repo_name|>", true},      AddedToken{"<|file_sep|>", true},
    AddedToken{"<tool_response>", false},   AddedToken{"</tool_response>", false},
    AddedToken{"<think>", false},           AddedToken{"</think>", false},
    AddedToken{"<|audio_start|>", true},    AddedToken{"<|audio_end|>", true},
    AddedToken{"<tts_pad>", true},          AddedToken{"<tts_text_bos>", true},
    AddedToken{"<tts_text_eod>", true},     AddedToken{"<tts_text_bos_single>", true},
    AddedToken{"<|audio_pad|>", true},
};
// tokenizer.json ends here; the others are only in tokenizer_config.json.
constexpr std::size_t kInTokenizerJson = 26;
constexpr int kImEnd = 2;  // position of <|im_end|> above

std::string utf8(unsigned code_point) {
  if (code_point < 0x80) return {static_cast<char>(code_point)};
  return {static_cast<char>(0xC0 | (code_point >> 6)),
          static_cast<char>(0x80 | (code_point & 0x3F))};
}

// One printable character for each byte, in the order of their ids.
std::array<std::string, 256> byte_symbols() {
  std::array<std::string, 256> out;
  const auto prints = [](unsigned byte) {
    return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  };
  std::size_t n = 0;
  for (unsigned byte = 0; byte < 256; ++byte) {
    if (prints(byte)) out[n++] = utf8(byte);
  }
  for (unsigned i = 0; n < 256; ++i) out[n++] = utf8(0x100 + i);
  return out;
}

class Vocabulary {
 public:
  explicit Vocabulary(const CheckpointShape& shape) : shape_(shape) {}

  /// Both halves of merge `i`; joined they are token 256 + i.
  std::pair<std::string, std::string> merge(std::size_t i) const {
    if (i < 65536) return {symbols_[i / 256], symbols_[i % 256]};
    const auto [first, second] = merge((i - 65536) / 256);
    return {first + second, symbols_[i % 256]};
  }
  std::string token(std::size_t id) const {
    if (id < 256) return symbols_[id];
    const std::size_t n_merged = 256 + n_merges();
    if (id < n_merged) {
      const auto [first, second] = merge(id - 256);
      return first + second;
    }
    // The published vocabulary has a few entries that no merge makes; four bytes are such ones.
    return symbols_[0] + symbols_[0] + symbols_[0] + symbols_[id - n_merged];
  }
  std::size_t n_merges() const { return static_cast<std::size_t>(shape_.n_merges); }
  std::size_t size() const { return static_cast<std::size_t>(shape_.n_base_tokens); }

 private:
  const CheckpointShape& shape_;
  std::array<std::string, 256> symbols_ = byte_symbols();
};

std::string json_text(const std::string& text) { return ordered_json(text).dump(); }

void write_text(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (!file) throw IoError(fmt::format("{}: cannot write", path));
}

ordered_json added_token_json(const AddedToken& token) {
  return {{"content", token.text}, {"lstrip", false},      {"normalized", false},
          {"rstrip", false},       {"single_word", false}, {"special", token.special}};
}

// The members around the model, which is too long to be built as a JSON value.
ordered_json tokenizer_frame(const CheckpointShape& shape) {
  const ordered_json byte_level = {{"type", "ByteLevel"},
                                   {"add_prefix_space", false},
                                   {"trim_offsets", false},
                                   {"use_regex", false}};
  const ordered_json split = {{"type", "Split"},
                              {"pattern", {{"Regex", kPattern}}},
                              {"behavior", "Isolated"},
                              {"invert", false}};
  ordered_json added = ordered_json::array();
  for (std::size_t i = 0; i < kInTokenizerJson; ++i) {
    ordered_json token = {{"id", static_cast<std::size_t>(shape.n_base_tokens) + i}};
    token.update(added_token_json(kAddedTokens[i]));
    added.push_back(token);
  }
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added},
          {"normalizer", {{"type", "NFC"}}},
          {"pre_tokenizer",
           {{"type", "Sequence"}, {"pretokenizers", ordered_json::array({split, byte_level})}}},
          {"post_processor", byte_level},
          {"decoder", byte_level}};
}

std::string tokenizer_json(const CheckpointShape& shape) {
  const Vocabulary vocabulary(shape);
  std::string out = tokenizer_frame(shape).dump();
  out.back() = ',';  // instead of the closing brace
  out += R"("model":{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":"",)"
         R"("end_of_word_suffix":"","fuse_unk":false,"byte_fallback":false,"ignore_merges":false,)"
         R"("vocab":{)";
  for (std::size_t i = 0; i < vocabulary.size(); ++i) {
    if (i > 0) out += ',';
    fmt::format_to(std::back_inserter(out), "{}:{}", json_text(vocabulary.token(i)), i);
  }
  out += R"(},"merges":[)";
  for (std::size_t i = 0; i < vocabulary.n_merges(); ++i) {
    const auto [first, second] = vocabulary.merge(i);
    if (i > 0) out += ',';
    fmt::format_to(std::back_inserter(out), "[{},{}]", json_text(first), json_text(second));
  }
  return out + "]}}\n";
}

ordered_json tokenizer_config(const CheckpointShape& shape) {
  ordered_json decoder = ordered_json::object();
  for (std::size_t i = 0; i < kAddedTokens.size(); ++i) {
    const std::size_t id = static_cast<std::size_t>(shape.n_base_tokens) + i;
    decoder[std::to_string(id)] = added_token_json(kAddedTokens[i]);
  }
  return {{"add_bos_token", false},
          {"add_prefix_space", false},
          {"added_tokens_decoder", decoder},
          {"bos_token", nullptr},
          {"clean_up_tokenization_spaces", false},
          {"eos_token", "<|im_end|>"},
          {"errors", "replace"},
          {"model_max_length", shape.n_context},
          {"pad_token", "<|endoftext|>"},
          {"split_special_tokens", false},
          {"tokenizer_class", "Qwen2Tokenizer"},
          {"unk_token", nullptr}};
}

ordered_json generation_config(const CheckpointShape& shape) {
  const int end_of_text = shape.n_base_tokens;
  return {{"bos_token_id", end_of_text},
          {"do_sample", true},
          {"eos_token_id", {end_of_text + kImEnd, end_of_text}},
          {"pad_token_id", end_of_text},
          {"temperature", 1.0},
          {"top_k", 20},
          {"top_p", 0.95},
          {"transformers_version", "4.57.0.dev0"}};
}

}  // namespace

void write_synthetic_tokenizer(const CheckpointShape& shape, const std::string& folder) {
  write_text(folder + "/tokenizer.json", tokenizer_json(shape));
  write_text(folder + "/tokenizer_config.json", tokenizer_config(shape).dump(2) + "\n");
  write_text(folder + "/generation_config.json", generation_config(shape).dump(2) + "\n");
}

}  // namespace foretoken::testing
