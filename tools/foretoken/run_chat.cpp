// Commands start with a slash, as in other chat programs; anything else is said to the model.
#include "run_chat.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "base/text.h"
#include "line_reader.h"
#include "model/file_summary.h"
#include "progress_bar.h"
#include "token_list.h"

namespace foretoken::tools {
namespace {

constexpr std::string_view kHelp =
    "  /help              this list\n"
    "  /clear             forget the conversation\n"
    "  /regen             answer the last question again\n"
    "  /read FILE         say what a text file holds\n"
    "  /system [TEXT]     set the system prompt and start anew; without text: none\n"
    "  /think on|off      thinking before the answer\n"
    "  /stats             speed and drafts of this chat, and how full the context is\n"
    "  /exit              leave, as does Ctrl-D\n"
    "  A line ending in \\ goes on in the next; pasted lines stay together.\n"
    "  Ctrl-C stops an answer.\n";

std::string faint(std::string_view text) {
  return colours_on_stderr() ? fmt::format("\x1B[2m{}\x1B[0m", text) : std::string(text);
}

void print_note(std::string_view text) {
  std::fflush(stdout);
  fmt::print(stderr, "{}\n", faint(text));
}

std::string banner(const engine::Session& session) {
  const engine::Engine& engine = session.engine();
  const model::FileSummary file = model::summarize(engine.weights().file());
  std::string out = printable(file.name.empty() ? "unnamed model" : file.name);
  for (const std::string& part : {file.size, file.file_type}) {
    if (!part.empty()) out += ", " + printable(part);
  }
  out += engine.mtp_head() == nullptr ? ", no MTP head" : ", MTP head";
  return fmt::format("{}; {}, context {}\n/help lists the commands; Ctrl-D leaves\n", out,
                     engine.ops().name(), session.n_context());
}

class Chat {
 public:
  Chat(const RunOptions& options, Dialogue& dialogue, const engine::Session& session)
      : options_(options), dialogue_(dialogue), session_(session) {}

  void say(const std::string& text) {
    answer([&](const InterruptScope& interrupt, const ReplySink& sink) {
      return dialogue_.say(text, interrupt, sink);
    });
  }

  /// Handles one entry; false to leave.
  bool handle(const std::string& entry) {
    const std::size_t start = entry.find_first_not_of(" \t\n");
    if (start == std::string::npos) return true;
    if (entry[start] != '/') {
      say(entry);
      return true;
    }
    const std::size_t space = std::min(entry.find_first_of(" \t\n", start), entry.size());
    const std::string name = entry.substr(start, space - start);
    const std::size_t rest = entry.find_first_not_of(" \t\n", space);
    if (name == "/exit" || name == "/quit" || name == "/bye") return false;
    command(name, rest == std::string::npos ? "" : entry.substr(rest));
    return true;
  }

 private:
  template <class Ask>
  void answer(const Ask& ask) {
    try {
      ReplyPrinter printer(printer_options(options_));
      const InterruptScope interrupt;
      const ReplyReport report = ask(interrupt, print_to(printer));
      printer.finish();
      total_.add(report);
      if (!printer.has_answer()) print_note("no answer; /regen asks again");
      print_report(options_, report, session_.n_context());
      fmt::print("\n");
    } catch (const RequestError& error) {
      print_note(error.what());
    }
  }

  void command(const std::string& name, const std::string& argument) {
    if (name == "/help" || name == "/?") {
      fmt::print("{}", kHelp);
    } else if (name == "/clear" || name == "/reset") {
      dialogue_.clear();
      print_note("the conversation is forgotten");
    } else if (name == "/regen") {
      answer([&](const InterruptScope& interrupt, const ReplySink& sink) {
        return dialogue_.answer_again(interrupt, sink);
      });
    } else if (name == "/read") {
      read(argument);
    } else if (name == "/system") {
      dialogue_.clear();
      dialogue_.set_system(argument);
      print_note(argument.empty() ? "no system prompt; the conversation starts anew"
                                  : "system prompt set; the conversation starts anew");
    } else if (name == "/think") {
      set_thinking(argument);
    } else if (name == "/stats") {
      print_statistics();
    } else {
      print_note(fmt::format("{} is no command; /help lists them", quoted(name)));
    }
  }

  void read(const std::string& path) {
    if (path.empty()) return print_note("/read needs the name of a file");
    try {
      say(read_text_file(path));
    } catch (const IoError& error) {
      print_note(error.what());
    }
  }

  void set_thinking(const std::string& argument) {
    if (argument != "on" && argument != "off") return print_note("write /think on or /think off");
    dialogue_.set_thinking(argument == "on");
    print_note(fmt::format("thinking is {} from the next answer on", argument));
  }

  void print_statistics() const {
    const engine::GenerateStats& stats = total_.stats;
    fmt::print("{}\n", describe(total_));
    for (std::size_t i = 0; i < stats.drafted_at.size() && stats.drafted_at[i] > 0; ++i) {
      fmt::print("draft {}: {} of {} accepted ({:.1f} %)\n", i + 1, stats.accepted_at[i],
                 stats.drafted_at[i], 100.0 * stats.accepted_at[i] / stats.drafted_at[i]);
    }
    fmt::print("turns {}; context {} of {} tokens used\n", dialogue_.n_turns(), session_.n_past(),
               session_.n_context());
  }

  const RunOptions& options_;
  Dialogue& dialogue_;
  const engine::Session& session_;
  ReplyReport total_;
};

}  // namespace

ReplyPrinterOptions printer_options(const RunOptions& options) {
  const bool terminal = ::isatty(STDOUT_FILENO) != 0;
  return {.show_thinking = options.show_thinking || (terminal && !options.hide_thinking),
          .colours = colours_on_stdout(),
          .terminal = terminal};
}

ReplySink print_to(ReplyPrinter& printer) {
  return {.thinking = [&printer](std::string_view text) { printer.thinking(text); },
          .answer = [&printer](std::string_view text) { printer.answer(text); }};
}

void print_report(const RunOptions& options, const ReplyReport& report, int n_context) {
  if (report.reason == engine::StopReason::ContextFull) {
    print_note(fmt::format(
        "the answer ends here because the context is full ({} tokens); -c gives a larger one",
        n_context));
  }
  if (options.perf) print_note(describe(report));
}

int run_chat(const RunOptions& options, Dialogue& dialogue, const engine::Session& session,
             const std::string& opening) {
  print_note(banner(session));
  std::string history;
  if (options.history) {
    history = options.history_file.empty() ? default_history_file() : options.history_file;
  }
  Chat chat(options, dialogue, session);
  if (!opening.empty()) chat.say(opening);
  if (options.single_turn && !opening.empty()) return 0;
  LineReader reader(history);
  std::string entry;
  while (reader.read(entry)) {
    const int turns = dialogue.n_turns();
    if (!chat.handle(entry)) break;
    if (options.single_turn && dialogue.n_turns() > turns) break;
  }
  return 0;
}

}  // namespace foretoken::tools
