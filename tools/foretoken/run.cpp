// `foretoken run`: a prompt answered, a text continued, or a chat.
//
// Standard output carries the answer alone, so that it can be piped; the thinking joins it on a
// terminal, faint. Everything else goes to standard error.
#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/text.h"
#include "command.h"
#include "progress_bar.h"
#include "run_chat.h"
#include "run_options.h"
#include "token_list.h"

namespace foretoken::tools {
namespace {

constexpr const char* kNotes =
    "With -p, -f or piped input one answer is written to standard output and the program ends; "
    "with\n"
    "none of them on a terminal it is a chat. Ctrl-C stops an answer.\n"
    "\n"
    "Thinking is shown faint on a terminal and left out elsewhere (--show-thinking: between "
    "<think>\n"
    "marks; --hide-thinking: nowhere). --no-think asks the model not to think at all. Speed and\n"
    "draft counts go to standard error (--no-perf: not at all). The answer ends with one line "
    "break.\n"
    "\n"
    "Exit status: 0 done, 1 the input is wrong, 2 the command line is wrong, 130 interrupted.";

// One line break at the end belongs to the file, not to the prompt.
std::string read_prompt_file(const std::string& path) {
  std::string text = read_text_file(path);
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  if (text.empty()) {
    throw RequestError(fmt::format("{}: the prompt is empty; give some text",
                                   path == "-" ? std::string("standard input") : printable(path)));
  }
  return text;
}

/// The prompt, or nothing where a person should be asked for it.
std::optional<std::string> find_prompt(const RunOptions& options) {
  if (options.has_prompt) return options.escapes ? unescape(options.prompt) : options.prompt;
  if (!options.file.empty()) return read_prompt_file(options.file);
  if (::isatty(STDIN_FILENO) == 0) return read_prompt_file("-");
  return std::nullopt;
}

nlohmann::ordered_json parse_variables(const std::string& text) {
  if (text.empty()) return nullptr;
  nlohmann::ordered_json out = nlohmann::ordered_json::parse(text, nullptr, false);
  if (!out.is_object()) {
    throw RequestError(fmt::format(
        "--chat-template-kwargs {} is not a JSON object; write for example {{\"key\": true}}",
        quoted(text)));
  }
  return out;
}

engine::GenerateOptions generate_options(const RunOptions& options) {
  return {.max_tokens = options.n_predict, .ignore_end = options.ignore_end};
}

DialogueOptions dialogue_options(const RunOptions& options) {
  DialogueOptions out;
  out.system = options.escapes ? unescape(options.system) : options.system;
  if (!options.system_file.empty()) out.system = read_prompt_file(options.system_file);
  if (options.reasoning != "auto") out.thinking = options.reasoning == "on";
  if (!options.template_file.empty()) out.template_source = read_text_file(options.template_file);
  out.variables = parse_variables(options.template_variables);
  out.show_control_tokens = options.special;
  out.split_thinking = options.reasoning_format != "none";
  out.generate = generate_options(options);
  return out;
}

/// Continues the text itself.
ReplyReport continue_text(const RunOptions& options, const std::string& text,
                          const engine::Session& session, Responder& responder,
                          const InterruptScope& interrupt, ReplyPrinter& printer) {
  const tokenizer::Tokenizer& tokenizer = session.engine().tokenizer();
  tokenizer::StreamDecoder decoder(tokenizer, !options.special);
  const std::vector<TokenId> prompt = tokenizer.encode(text);
  ReplyReport report =
      responder.respond(prompt, 0, generate_options(options), interrupt,
                        [&](TokenId token) { printer.answer(decoder.push(token)); });
  printer.answer(decoder.flush());
  return report;
}

int answer_once(const RunOptions& options, const std::string& prompt, Dialogue* dialogue,
                const engine::Session& session, Responder& responder) {
  ReplyPrinter printer(printer_options(options));
  const InterruptScope interrupt;
  const ReplyReport report =
      dialogue == nullptr ? continue_text(options, prompt, session, responder, interrupt, printer)
                          : dialogue->say(prompt, interrupt, print_to(printer));
  printer.finish();
  const bool cut = report.reason == engine::StopReason::Length;
  if (dialogue != nullptr && !printer.has_answer() && cut && report.stats.n_tokens > 0) {
    fmt::print(stderr,
               "foretoken: -n {} ended while the model was thinking, before any answer; raise it, "
               "or use --no-think\n",
               options.n_predict);
  }
  print_report(options, report, session.n_context());
  return interrupt.interrupted() ? 130 : 0;
}

int run(const RunOptions& options) {
  std::signal(SIGPIPE, SIG_DFL);  // `foretoken run ... | head -1` ends without a word
  check(options);
  const engine::SpeculationOptions speculation = finish_speculation(options.speculation, false);
  const std::optional<std::string> prompt = find_prompt(options);
  const bool interactive = !prompt || options.conversation;
  if (interactive && ::isatty(STDIN_FILENO) == 0) {
    throw RequestError("-cnv needs a terminal to talk on; leave it out for one answer");
  }
  if (interactive && options.raw) {
    throw RequestError("--raw continues one text; give it with -p, -f or through a pipe");
  }
  DialogueOptions dialogue = dialogue_options(options);
  dialogue.single_turn = !interactive;

  const auto engine = load_engine(options.model);
  engine::Session session(*engine, session_options(options.model, *engine));
  Responder responder(session, finish_sampling(options.sampling, engine->tokenizer()), speculation);
  if (options.raw) return answer_once(options, *prompt, nullptr, session, responder);
  Dialogue talk(session, responder, dialogue);
  if (interactive) return run_chat(options, talk, session, prompt.value_or(""));
  return answer_once(options, *prompt, &talk, session, responder);
}

}  // namespace

Run add_run(CLI::App& app) {
  auto options = std::make_shared<RunOptions>();
  add_run_options(app, *options);
  app.footer(kNotes);
  return [options] { return run(*options); };
}

}  // namespace foretoken::tools
