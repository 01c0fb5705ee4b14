// libedit's own interface, editline(3), instead of its imitation of readline: it can bind keys to
// functions, which Ctrl-C at the prompt and bracketed paste need.
#include "line_reader.h"

#include <histedit.h>
#include <sys/stat.h>
#include <unistd.h>

#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cwchar>
#include <filesystem>
#include <string_view>

#include "base/error.h"
#include "progress_bar.h"

namespace foretoken::tools {
namespace {

constexpr int kHistoryEntries = 1000;
constexpr std::wstring_view kPasteEnd = L"\x1B[201~";

// Without a UTF-8 locale libedit would take an umlaut for two characters.
void use_utf8() {
  if (std::setlocale(LC_CTYPE, "") != nullptr && MB_CUR_MAX > 1) return;
  std::setlocale(LC_CTYPE, "C.UTF-8");
}

void create_private(const std::string& path) {
  std::error_code failed;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), failed);
  if (failed) return;
  std::FILE* file = std::fopen(path.c_str(), "a");
  if (file == nullptr) return;
  ::fchmod(::fileno(file), S_IRUSR | S_IWUSR);
  std::fclose(file);
}

}  // namespace

struct LineReader::State {
  std::string history_file;
  EditLine* editor = nullptr;
  History* history = nullptr;
  bool interrupted = false;
  bool continued = false;  // the line before ended in a backslash
  bool colours = false;
  bool marks_pastes = false;  // the terminal says where pasted text begins and ends

  static State& of(EditLine* editor) {
    void* data = nullptr;
    ::el_get(editor, EL_CLIENTDATA, &data);
    return *static_cast<State*>(data);
  }

  // \1 surrounds what takes up no columns.
  static char* prompt(EditLine* editor) {
    static char plain[] = "> ";
    static char more[] = ". ";
    static char coloured[] = "\1\x1B[1;32m\1> \1\x1B[0m\1";
    const State& state = of(editor);
    if (state.continued) return more;
    return state.colours ? coloured : plain;
  }

  static unsigned char on_interrupt(EditLine* editor, wint_t) {
    of(editor).interrupted = true;
    return CC_EOF;
  }

  // The terminal's own suspend key is off while editing, with its interrupt key.
  static unsigned char on_suspend(EditLine* editor, wint_t) {
    ::el_set(editor, EL_PREP_TERM, 0);
    ::kill(0, SIGTSTP);
    ::el_set(editor, EL_PREP_TERM, 1);
    return CC_REDISPLAY;
  }

  // Bracketed paste: what stands between two marks was pasted, line breaks included.
  static unsigned char on_paste(EditLine* editor, wint_t) {
    std::wstring text;
    wchar_t next = 0;
    while (!text.ends_with(kPasteEnd) && ::el_wgetc(editor, &next) == 1) {
      text += next == L'\r' ? L'\n' : next;
    }
    if (text.ends_with(kPasteEnd)) text.resize(text.size() - kPasteEnd.size());
    while (text.ends_with(L'\n')) text.pop_back();
    ::el_winsertstr(editor, text.c_str());
    return CC_REFRESH;
  }

  void bind_keys() {
    // The narrow el_set copies these names and never frees them.
    ::el_wset(editor, EL_ADDFN, L"foretoken-interrupt", L"discard the line", on_interrupt);
    ::el_wset(editor, EL_ADDFN, L"foretoken-suspend", L"suspend the program", on_suspend);
    ::el_wset(editor, EL_ADDFN, L"foretoken-paste", L"insert pasted text", on_paste);
    ::el_set(editor, EL_SETTY, "-d", "-isig", nullptr);
    ::el_set(editor, EL_BIND, "^C", "foretoken-interrupt", nullptr);
    ::el_set(editor, EL_BIND, "^Z", "foretoken-suspend", nullptr);
    ::el_set(editor, EL_BIND, "\\e[200~", "foretoken-paste", nullptr);
    ::el_set(editor, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  }

  void open_history() {
    HistEvent event;
    history = ::history_init();
    ::history(history, &event, H_SETSIZE, kHistoryEntries);
    ::history(history, &event, H_SETUNIQUE, 1);
    if (!history_file.empty()) ::history(history, &event, H_LOAD, history_file.c_str());
    ::el_set(editor, EL_HIST, ::history, history);
  }

  void remember(const std::string& entry) const {
    HistEvent event;
    ::history(history, &event, H_ENTER, entry.c_str());
    if (history_file.empty()) return;
    create_private(history_file);
    ::history(history, &event, H_SAVE, history_file.c_str());
  }

  /// One line without its break; false at the end of input or on Ctrl-C.
  bool read_line(std::string& line) {
    interrupted = false;
    if (marks_pastes) {
      std::fputs("\x1B[?2004h", stdout);
      std::fflush(stdout);
    }
    // Before the prompt shows: el_gets does it later, and Ctrl-C in between would end the program.
    ::el_set(editor, EL_PREP_TERM, 1);
    int n = 0;
    const char* text = ::el_gets(editor, &n);
    if (marks_pastes) std::fputs("\x1B[?2004l", stdout);
    if (text == nullptr || n <= 0) {
      std::fputs("\n", stdout);
      const LineInfo* typed = ::el_line(editor);
      line.assign(typed->buffer, typed->lastchar);
      ::el_reset(editor);
      std::fflush(stdout);
      return false;
    }
    line.assign(text, static_cast<std::size_t>(n));
    if (line.ends_with('\n')) line.pop_back();
    return true;
  }
};

LineReader::LineReader(const std::string& history_file) : state_(std::make_unique<State>()) {
  use_utf8();
  state_->history_file = history_file;
  state_->colours = colours_on_stdout();
  const char* term = std::getenv("TERM");
  state_->marks_pastes = ::isatty(STDOUT_FILENO) != 0 && term != nullptr &&
                         std::string_view(term) != "dumb" && *term != '\0';
  state_->editor = ::el_init("foretoken", stdin, stdout, stderr);
  if (state_->editor == nullptr) throw IoError("the terminal cannot be used for editing lines");
  ::el_set(state_->editor, EL_CLIENTDATA, state_.get());
  ::el_set(state_->editor, EL_EDITOR, "emacs");
  ::el_set(state_->editor, EL_SIGNAL, 1);  // it restores the terminal before a signal ends us
  ::el_set(state_->editor, EL_PROMPT_ESC, State::prompt, '\1');
  ::el_source(state_->editor, nullptr);  // the user's ~/.editrc
  state_->open_history();
  state_->bind_keys();
}

LineReader::~LineReader() {
  ::el_end(state_->editor);
  ::history_end(state_->history);
}

bool LineReader::read(std::string& entry) {
  entry.clear();
  state_->continued = false;
  for (;;) {
    std::string line;
    if (!state_->read_line(line)) {
      const bool discard = state_->interrupted && (state_->continued || !line.empty());
      if (!discard) return false;
      entry.clear();
      state_->continued = false;
      continue;
    }
    state_->continued = line.ends_with('\\');
    if (state_->continued) line.back() = '\n';
    entry += line;
    if (!state_->continued) break;
  }
  if (entry.find_first_not_of(" \t\n") != std::string::npos) state_->remember(entry);
  return true;
}

std::string default_history_file() {
  const char* state = std::getenv("XDG_STATE_HOME");
  const char* home = std::getenv("HOME");
  // The specification says to ignore relative paths.
  if (state != nullptr && *state == '/') return std::string(state) + "/foretoken/history";
  if (home == nullptr || *home != '/') return {};
  return std::string(home) + "/.local/state/foretoken/history";
}

}  // namespace foretoken::tools
