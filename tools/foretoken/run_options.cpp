// Names and meanings follow llama.cpp's llama-cli where it has them.
#include "run_options.h"

#include <fmt/format.h>

#include <charconv>

#include "base/error.h"

namespace foretoken::tools {
namespace {

void add_input(CLI::App& app, RunOptions& options) {
  CLI::App* group = app.add_option_group("Input");
  auto* prompt = group
                     ->add_option_function<std::string>(
                         "-p,--prompt",
                         [&options](const std::string& text) {
                           options.prompt = text;
                           options.has_prompt = true;
                         },
                         "what to say; answered once, then the program ends")
                     ->type_name("TEXT");
  group->add_option("-f,--file", options.file, "the same from a file; '-': standard input")
      ->type_name("FILE")
      ->excludes(prompt);
  auto* system = group
                     ->add_option("--system-prompt", options.system,
                                  "system prompt (-sys): how the model should behave")
                     ->type_name("TEXT");
  group->add_option("--system-prompt-file", options.system_file, "the same from a file (-sysf)")
      ->type_name("FILE")
      ->excludes(system);
  group->add_flag("-e,--escape", options.escapes,
                  "read \\n, \\t and the like in -p and -sys as control characters");
  auto* raw =
      group->add_flag("--raw,--no-conversation", options.raw,
                      "no chat template: continue the text as it is, with control tokens such as "
                      "<|im_start|> recognised in it (-no-cnv)");
  group->add_flag("--conversation", options.conversation, "go on as a chat after -p or -f (-cnv)")
      ->excludes(raw);
  group->add_flag("--single-turn", options.single_turn, "leave the chat after one answer (-st)");
}

void add_output(CLI::App& app, RunOptions& options) {
  CLI::App* group = app.add_option_group("Output");
  group
      ->add_option("-n,--predict,--n-predict", options.n_predict,
                   "most tokens of an answer; -1: until the model stops or the context is full")
      ->capture_default_str()
      ->type_name("N");
  group->add_flag("--ignore-eos", options.ignore_end, "go on past the end of the answer");
  group->add_flag("--special", options.special, "show control tokens (-sp)");
  auto* show = group->add_flag("--show-thinking", options.show_thinking,
                               "show the model's thinking also where it would be left out");
  group
      ->add_flag("--hide-thinking", options.hide_thinking,
                 "leave the thinking out also on a terminal")
      ->excludes(show);
  group->add_flag_callback(
      "--no-perf", [&options] { options.perf = false; },
      "no line about speed and drafts on standard error after the answer");
  group->add_flag_callback(
      "--no-history", [&options] { options.history = false; },
      "do not keep what is typed in a chat for the next one");
  group
      ->add_option("--history-file", options.history_file,
                   "where it is kept; default: $XDG_STATE_HOME/foretoken/history, else "
                   "~/.local/state/foretoken/history")
      ->type_name("FILE");
}

void add_template(CLI::App& app, RunOptions& options) {
  CLI::App* group = app.add_option_group("Chat template");
  group
      ->add_option("--reasoning", options.reasoning,
                   "thinking before the answer: on, off, auto (as the model's template does)")
      ->capture_default_str()
      ->check(CLI::IsMember({"on", "off", "auto"}))
      ->type_name("MODE");
  group->add_flag_callback(
      "--no-think", [&options] { options.reasoning = "off"; }, "same as --reasoning off");
  group->add_flag_callback(
      "--think", [&options] { options.reasoning = "on"; }, "same as --reasoning on");
  group
      ->add_option("--reasoning-format", options.reasoning_format,
                   "none: thinking and its marks are part of the answer; auto, deepseek: apart")
      ->capture_default_str()
      ->check(CLI::IsMember({"auto", "none", "deepseek", "deepseek-legacy"}))
      ->type_name("FORMAT");
  group
      ->add_option("--chat-template-file", options.template_file,
                   "Jinja template instead of the model's")
      ->type_name("FILE");
  group
      ->add_option("--chat-template-kwargs", options.template_variables,
                   "JSON object of further variables for the template")
      ->type_name("JSON");
  // Scripts written for llama-cli pass these; here they change nothing.
  group->add_flag("--jinja,--no-display-prompt,--no-warmup,--warmup,--simple-io,--no-escape,--perf")
      ->group("");
}

// The escape at the start of `text`, which begins with a backslash: its bytes and its length.
std::pair<std::string, std::size_t> read_escape(std::string_view text) {
  static constexpr std::string_view kNames = "nrt\\\"'";
  static constexpr std::string_view kValues = "\n\r\t\\\"'";
  if (text.size() < 2) return {"\\", 1};
  const std::size_t which = kNames.find(text[1]);
  if (which != std::string_view::npos) return {std::string(1, kValues[which]), 2};
  unsigned value = 0;
  if (text[1] == 'x' && text.size() >= 4) {
    const auto parsed = std::from_chars(text.data() + 2, text.data() + 4, value, 16);
    if (parsed.ec == std::errc{} && parsed.ptr == text.data() + 4) {
      return {std::string(1, static_cast<char>(value)), 4};
    }
  }
  return {"\\", 1};
}

}  // namespace

void add_run_options(CLI::App& app, RunOptions& options) {
  add_input(app, options);
  add_output(app, options);
  add_template(app, options);
  add_model_options(app, options.model);
  add_sampling_options(app, options.sampling);
  add_speculation_options(app, options.speculation, false);
}

void check(const RunOptions& options) {
  if (options.n_predict < -2) {
    throw RequestError(
        fmt::format("-n {} is out of range; use a number of tokens, or -1 for no "
                    "limit",
                    options.n_predict));
  }
  if (options.has_prompt && options.prompt.empty()) {
    throw RequestError("-p: the prompt is empty; give some text");
  }
}

std::string unescape(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t plain = std::min(text.find('\\'), text.size());
    out += text.substr(0, plain);
    text.remove_prefix(plain);
    if (text.empty()) break;
    const auto [bytes, length] = read_escape(text);
    out += bytes;
    text.remove_prefix(length);
  }
  return out;
}

}  // namespace foretoken::tools
