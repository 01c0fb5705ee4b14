// A reply on standard output as it comes: the answer as it is, the thinking told apart from it.
//
// On a terminal the thinking is faint (or between <think> marks where colours are off) and control
// characters are shown instead of obeyed, so that a model cannot move the cursor or set the title.
// Elsewhere the bytes go out unchanged and the thinking is left out unless it was asked for.
#pragma once

#include <string>
#include <string_view>

namespace foretoken::tools {

struct ReplyPrinterOptions {
  bool show_thinking = true;
  bool colours = false;   ///< thinking is faint instead of between marks
  bool terminal = false;  ///< show control characters instead of sending them
};

class ReplyPrinter {
 public:
  explicit ReplyPrinter(const ReplyPrinterOptions& options) : options_(options) {}
  ReplyPrinter(const ReplyPrinter&) = delete;
  ReplyPrinter& operator=(const ReplyPrinter&) = delete;
  ~ReplyPrinter();  ///< ends a faint stretch that an exception cut short

  /// Each throws IoError when standard output does not take it.
  void thinking(std::string_view text);
  void answer(std::string_view text);
  /// Ends the reply: with a line break, if there is text and none yet.
  void finish();

  /// Whether anything of the answer itself was printed.
  bool has_answer() const { return has_answer_; }

 private:
  void begin_thinking();
  void end_thinking();
  void write(std::string_view text);

  ReplyPrinterOptions options_;
  bool thinking_open_ = false;
  bool has_answer_ = false;
  bool any_ = false;
  bool line_open_ = false;
};

/// `text` with control characters other than line breaks and tabs as \xNN, for terminals.
std::string terminal_safe(std::string_view text);

}  // namespace foretoken::tools
