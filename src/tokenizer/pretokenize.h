// Cuts text into the pieces that byte-pair encoding works on: words with the space before them,
// single digits, runs of punctuation, runs of white space.
//
// A regular expression, run by PCRE2, defines the pieces. Pieces of ASCII text are found by a small
// scanner instead, which gives up whenever a character outside ASCII could have a say; a test holds
// it against the expression on random texts.
// Source: docs/tokenizer.md, "Pieces".
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

namespace foretoken::tokenizer {

/// Length of the piece that starts `text`, or 0 when only the expression can tell. The same for
/// all our expressions: they differ in combining marks only, and ASCII has none.
std::size_t ascii_piece_length(std::string_view text);

/// The expression of a pre-tokenizer name ("qwen35", "qwen2") as Hugging Face files spell it;
/// empty when the name is unknown.
std::string_view pre_tokenizer_expression(std::string_view name);
/// The name of an expression; empty when it is none of ours.
std::string_view pre_tokenizer_name(std::string_view expression);

/// A compiled expression. Immutable and thread-safe.
class PreTokenizer {
 public:
  /// Working memory of one thread.
  class Matcher {
   public:
    explicit Matcher(const PreTokenizer& pre_tokenizer);
    Matcher(Matcher&&) noexcept;
    Matcher& operator=(Matcher&&) noexcept;
    Matcher(const Matcher&) = delete;
    Matcher& operator=(const Matcher&) = delete;
    ~Matcher();

    /// Length of the piece of `text` (valid UTF-8) that starts at `pos`; at least 1. Requires
    /// pos < text.size(). Throws RequestError when the expression runs out of memory.
    std::size_t piece_length(std::string_view text, std::size_t pos) {
      const std::size_t length = ascii_piece_length(text.substr(pos));
      return length != 0 ? length : expression_piece_length(text, pos);
    }
    /// The same by the expression alone.
    std::size_t expression_piece_length(std::string_view text, std::size_t pos);

   private:
    struct State;
    std::unique_ptr<State> state_;
  };

  /// Throws UnsupportedError, naming `file`, for an unknown name.
  PreTokenizer(std::string_view name, std::string_view file);
  PreTokenizer(PreTokenizer&&) noexcept;
  PreTokenizer(const PreTokenizer&) = delete;
  PreTokenizer& operator=(const PreTokenizer&) = delete;
  PreTokenizer& operator=(PreTokenizer&&) = delete;
  ~PreTokenizer();

 private:
  struct Code;
  std::unique_ptr<Code> code_;
};

}  // namespace foretoken::tokenizer
