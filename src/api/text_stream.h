// One reply's tokens to text, as it becomes final: whole characters only, nothing that might turn
// out to be the beginning of a stop string.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/token.h"
#include "tokenizer/stream_decoder.h"
#include "tokenizer/tokenizer.h"

namespace foretoken::api {

struct TextStreamOptions {
  std::vector<std::string> stop;  ///< none empty
  bool show_control = false;      ///< control tokens appear as their names
  int n_indent =
      0;  ///< > 0: ends before the first line that is indented less (white space counted)
};

class TextStream {
 public:
  /// The tokenizer must outlive the stream.
  TextStream(const tokenizer::Tokenizer& tokenizer, TextStreamOptions options);

  /// The text that this token makes final. After it ended() may be true: text behind the end is
  /// dropped, and nothing may be pushed any more.
  std::string push(TokenId token);
  /// The reply is over: what was held back. Empty when ended().
  std::string finish();

  bool ended() const { return ended_; }
  /// The stop string that was met, or empty.
  const std::string& stopping_word() const { return stopping_word_; }
  bool has_new_line() const { return has_new_line_; }

 private:
  std::string release();
  std::string cut_at_indent(std::string text);

  TextStreamOptions options_;
  tokenizer::StreamDecoder decoder_;
  std::string pending_;  // decoded, not yet returned
  std::string stopping_word_;
  bool ended_ = false;
  bool has_new_line_ = false;
  int indent_ = -1;  // white space at the start of the present line; -1: past it
};

}  // namespace foretoken::api
