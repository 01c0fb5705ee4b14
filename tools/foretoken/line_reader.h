// Entries typed on a terminal, with editing, history and pasting, by libedit.
#pragma once

#include <memory>
#include <string>

namespace foretoken::tools {

class LineReader {
 public:
  /// History is read from `history_file` and kept there, readable by its owner alone; empty: it
  /// ends with the program. A history that cannot be read or written is done without.
  explicit LineReader(const std::string& history_file);
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;
  ~LineReader();

  /// Reads one entry: several lines when pasted so, or while lines end in a backslash. Ctrl-C
  /// discards what was typed. Returns false at the end: Ctrl-D or Ctrl-C on an empty prompt, or a
  /// terminal that is gone.
  [[nodiscard]] bool read(std::string& entry);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// $XDG_STATE_HOME/foretoken/history, or the same below ~/.local/state; empty without a home.
/// Source: XDG Base Directory Specification 0.8.
std::string default_history_file();

}  // namespace foretoken::tools
