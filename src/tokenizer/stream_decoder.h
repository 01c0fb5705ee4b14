// Tokens to text as they are generated, never half a UTF-8 character.
//
// Bytes wait until they form a complete character. What can no longer become one is replaced by
// U+FFFD, once per maximal subpart (Unicode 15, section 3.9, "U+FFFD Substitution of Maximal
// Subparts"), which is what web browsers do as well.
#pragma once

#include <string>
#include <string_view>

#include "base/token.h"

namespace foretoken::tokenizer {

class Tokenizer;

/// One generated text. Keeps a reference to the tokenizer, which must outlive it and stay in place.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer, bool hide_control = true)
      : tokenizer_(&tokenizer), hide_control_(hide_control) {}

  /// The text that `id` completes; empty while a character is unfinished, and for hidden tokens.
  /// UserDefined tokens are never hidden. Throws RequestError for an id outside the vocabulary.
  std::string push(TokenId id);
  /// End of the stream: what is left, as U+FFFD. The decoder is then as new.
  std::string flush();

 private:
  const Tokenizer* tokenizer_;
  bool hide_control_;
  std::string pending_;  // the start of a character, at most 3 bytes
};

}  // namespace foretoken::tokenizer
