// What a turn leaves behind: the template drops the thinking of earlier turns, so the next prompt
// parts from this one where the answer begins. Responder keeps a checkpoint there.
#include "dialogue.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "chat/reply_parser.h"
#include "tokenizer/tokenizer.h"

namespace foretoken::tools {
namespace {

std::string template_source(const DialogueOptions& options, const tokenizer::Tokenizer& tokenizer) {
  if (!options.template_source.empty()) return options.template_source;
  return tokenizer.chat_template().value_or(chat::ChatTemplate::builtin_source());
}

/// Tokens to what is shown. The parsed reply is kept in any case: the next prompt needs it.
class ReplyStream {
 public:
  struct Options {
    bool starts_in_thinking;
    bool show_control_tokens;
    bool split_thinking;
  };
  ReplyStream(const tokenizer::Tokenizer& tokenizer, const ReplySink& sink, const Options& options)
      : sink_(sink),
        options_(options),
        decoder_(tokenizer),
        full_decoder_(tokenizer, false),
        parser_({.starts_in_reasoning = options.starts_in_thinking,
                 .parse_tool_calls = false,
                 .tools = nullptr}) {
    // The prompt holds the opening mark, so without it the text would close what it never opened.
    if (!splits() && options.starts_in_thinking) sink_.answer("<think>\n");
  }

  void push(TokenId token) {
    const std::string text = decoder_.push(token);
    show(parser_.feed(text));
    if (options_.show_control_tokens) {
      sink_.answer(full_decoder_.push(token));
    } else if (!splits()) {
      sink_.answer(text);
    }
  }

  const chat::Reply& finish() {
    const std::string rest = decoder_.flush();
    show(parser_.feed(rest));
    show(parser_.finish());
    if (!splits()) sink_.answer(rest);
    return parser_.reply();
  }

 private:
  bool splits() const { return options_.split_thinking && !options_.show_control_tokens; }

  void show(const std::vector<chat::ReplyEvent>& events) {
    if (!splits()) return;
    for (const chat::ReplyEvent& event : events) {
      if (event.kind == chat::ReplyEvent::Kind::Reasoning) sink_.thinking(event.text);
      if (event.kind == chat::ReplyEvent::Kind::Content) sink_.answer(event.text);
    }
  }

  const ReplySink& sink_;
  Options options_;
  tokenizer::StreamDecoder decoder_;
  tokenizer::StreamDecoder full_decoder_;
  chat::ReplyParser parser_;
};

}  // namespace

Dialogue::Dialogue(const engine::Session& session, Responder& responder,
                   const DialogueOptions& options)
    : session_(session),
      responder_(responder),
      options_(options),
      template_(template_source(options, session.engine().tokenizer())) {}

nlohmann::ordered_json Dialogue::messages() const {
  auto out = nlohmann::ordered_json::array();
  if (!options_.system.empty()) out.push_back({{"role", "system"}, {"content", options_.system}});
  for (const Turn& turn : turns_) {
    out.push_back({{"role", "user"}, {"content", turn.question}});
    if (turn.is_open()) continue;  // the one to be answered now
    nlohmann::ordered_json answer = {{"role", "assistant"}, {"content", turn.answer}};
    if (!turn.thinking.empty()) answer["reasoning_content"] = turn.thinking;
    out.push_back(std::move(answer));
  }
  return out;
}

std::vector<chat::Segment> Dialogue::render(bool open_answer) const {
  chat::RenderOptions options;
  options.add_generation_prompt = open_answer;
  options.enable_thinking = options_.thinking;
  options.extra = options_.variables;
  return template_.render(messages(), options);
}

std::vector<TokenId> Dialogue::encode(const std::vector<chat::Segment>& text) const {
  std::vector<tokenizer::Segment> segments;
  for (const chat::Segment& part : text) segments.push_back({part.text, part.trusted});
  return session_.engine().tokenizer().encode(segments);
}

// Length of the prompt without the opening of the answer; 0 where the template does something else.
std::size_t Dialogue::shared_with_next_turn(const std::vector<TokenId>& prompt) const {
  if (options_.single_turn) return 0;
  const std::vector<TokenId> closed = encode(render(false));
  const bool prefix =
      closed.size() < prompt.size() && std::equal(closed.begin(), closed.end(), prompt.begin());
  return prefix ? closed.size() : 0;
}

ReplyReport Dialogue::answer_last(const InterruptScope& interrupt, const ReplySink& sink) {
  const tokenizer::Tokenizer& tokenizer = session_.engine().tokenizer();
  const std::vector<chat::Segment> text = render(true);
  const std::vector<TokenId> prompt = encode(text);
  const bool thinks = chat::opens_reasoning(chat::join(text));
  ReplyStream stream(tokenizer, sink,
                     {.starts_in_thinking = thinks,
                      .show_control_tokens = options_.show_control_tokens,
                      .split_thinking = options_.split_thinking});
  ReplyReport report = responder_.respond(prompt, shared_with_next_turn(prompt), options_.generate,
                                          interrupt, [&](TokenId token) { stream.push(token); });
  const chat::Reply& reply = stream.finish();
  turns_.back().thinking = reply.reasoning;
  turns_.back().answer = reply.content;
  return report;
}

ReplyReport Dialogue::say(const std::string& text, const InterruptScope& interrupt,
                          const ReplySink& sink) {
  if (text.find_first_not_of(" \t\r\n") == std::string::npos) {
    throw RequestError("the prompt is empty; give some text");
  }
  turns_.push_back({text, {}, {}});
  try {
    ReplyReport report = answer_last(interrupt, sink);
    if (turns_.back().is_open()) turns_.pop_back();
    return report;
  } catch (...) {
    turns_.pop_back();
    throw;
  }
}

ReplyReport Dialogue::answer_again(const InterruptScope& interrupt, const ReplySink& sink) {
  if (turns_.empty()) throw RequestError("nothing was asked yet");
  const Turn before = turns_.back();
  turns_.back() = {before.question, {}, {}};
  try {
    ReplyReport report = answer_last(interrupt, sink);
    if (turns_.back().is_open()) turns_.back() = before;
    return report;
  } catch (...) {
    turns_.back() = before;
    throw;
  }
}

}  // namespace foretoken::tools
