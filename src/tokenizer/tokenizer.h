// Text to token ids and back, for the byte-level BPE vocabularies of the Qwen family.
//
// The path: split at added tokens, NFC, pre-tokenise, merge byte pairs. Each step is one file of
// this folder; this class joins them over one vocabulary read from a GGUF file or from a Hugging
// Face directory.
// Source: docs/tokenizer.md.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/token.h"
#include "tokenizer/stream_decoder.h"

namespace foretoken::gguf {
class File;
}

namespace foretoken::tokenizer {

struct Vocabulary;

/// Numbering of tokenizer.ggml.token_type in GGUF files.
enum class TokenKind {
  Normal = 1,
  Unknown = 2,
  Control = 3,      ///< steers the model; recognised in trusted text only
  UserDefined = 4,  ///< visible added token such as <think>; always recognised
  Unused = 5,       ///< slot without a meaning
  Byte = 6,
};

struct EncodeOptions {
  /// False: control tokens spelled in the text stay plain text. UserDefined ones match either way.
  bool parse_special = true;
};

/// A stretch of a prompt. Only trusted text may spell control tokens.
struct Segment {
  std::string text;
  bool trusted = false;
};

/// A vocabulary with everything needed to use it. Immutable, thread-safe, movable.
class Tokenizer {
 public:
  /// Reads the tokenizer.* keys. Throws FormatError (key absent, wrong or inconsistent) and
  /// UnsupportedError (not byte-level BPE, unknown pre-tokenizer), naming file and key.
  static Tokenizer from_gguf(const gguf::File& file);
  /// Reads tokenizer.json in the directory `path`, then tokenizer_config.json and
  /// chat_template.jinja where they exist. Throws as from_gguf, and IoError.
  static Tokenizer from_directory(const std::string& path);
  /// Checks and takes a vocabulary that was read elsewhere; throws as from_gguf.
  explicit Tokenizer(const Vocabulary& vocabulary);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;
  ~Tokenizer();

  /// Ids of `text`; nothing is added in front or behind. Text is normalised to NFC. Bytes that are
  /// not UTF-8 are kept: each maximal invalid stretch is a piece of its own, encoded byte-wise.
  /// Throws RequestError for more than 1 GiB of text.
  std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options = {}) const;
  /// Ids of the joined text, where a control token counts only if trusted text spells all of it.
  /// Apart from that, segment borders leave no trace: where no control token is spelled outside
  /// trusted text, the result equals encode() of the joined string.
  std::vector<TokenId> encode(std::span<const Segment> segments) const;

  /// The tokens' bytes as text, invalid UTF-8 replaced as in StreamDecoder. Control tokens appear
  /// as their names unless hidden. Throws RequestError for an id outside the vocabulary.
  std::string decode(std::span<const TokenId> ids, bool hide_control = false) const;

  /// Raw bytes of a token, possibly part of a character; valid as long as the tokenizer and over
  /// its moves. Throws RequestError for an id outside the vocabulary, as does kind().
  std::string_view piece(TokenId id) const;
  TokenKind kind(TokenId id) const;

  /// All slots, padding included.
  int n_vocab() const;
  /// Ids from here on are padding slots: mask them before sampling.
  int n_real_vocab() const;
  /// True for <|im_end|>, <|endoftext|>, <|fim_pad|>, <|repo_name|>, <|file_sep|> and the file's
  /// own end token; false for ids outside the vocabulary.
  bool is_end_of_generation(TokenId id) const;
  /// Id of the added token (Control or UserDefined) spelled exactly `text`.
  std::optional<TokenId> find_special(std::string_view text) const;
  /// The Jinja program that the file carries.
  std::optional<std::string> chat_template() const;

 private:
  struct Parts;
  std::unique_ptr<const Parts> parts_;
};

}  // namespace foretoken::tokenizer
