// See reply_parser.h.
//
// Text not yet understood waits in `pending_`; every state either takes something from its front
// or says that it needs more. `held_` is white space that is emitted only if more text follows it.
// Of a call, everything consumed is kept in `raw_`, to be given back as content if it breaks off.
#include "chat/reply_parser.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "chat/tool_arguments.h"

namespace foretoken::chat {
namespace {

constexpr std::string_view kThink = "<think>";
constexpr std::string_view kEndThink = "</think>";
constexpr std::string_view kCall = "<tool_call>";
constexpr std::string_view kEndCall = "</tool_call>";
constexpr std::string_view kFunction = "<function=";
constexpr std::string_view kEndFunction = "</function>";
constexpr std::string_view kParameter = "<parameter=";
constexpr std::string_view kEndParameter = "</parameter>";
constexpr std::string_view kEndValue = "\n</parameter>";
constexpr std::string_view kSpaces = " \t\r\n";

// Longer names are not names.
constexpr std::size_t kMaxName = 256;

/// Length of the longest end of `text` that begins one of `tags` without being all of it.
std::size_t partial_tag(std::string_view text, std::span<const std::string_view> tags) {
  std::size_t longest = 0;
  for (const std::string_view tag : tags) {
    for (std::size_t n = std::min(text.size(), tag.size() - 1); n > longest; --n) {
      if (text.ends_with(tag.substr(0, n))) {
        longest = n;
        break;
      }
    }
  }
  return longest;
}

enum class Match { Yes, No, Maybe };
/// Whether `text` starts with `tag`; Maybe when it is too short to tell.
Match match(std::string_view text, std::string_view tag) {
  if (text.starts_with(tag)) return Match::Yes;
  return tag.starts_with(text) ? Match::Maybe : Match::No;
}

}  // namespace

class ReplyParser::Machine {
 public:
  explicit Machine(ReplyParserOptions options)
      : options_(std::move(options)),
        state_(options_.starts_in_reasoning ? State::Reasoning : State::Content) {}

  std::vector<ReplyEvent> feed(std::string_view piece) {
    // In slices, because each step costs time in proportion to what is pending.
    constexpr std::size_t kSlice = 4096;
    for (std::size_t at = 0; at < piece.size(); at += kSlice) {
      pending_ += piece.substr(at, kSlice);
      run();
    }
    return std::exchange(events_, {});
  }

  std::vector<ReplyEvent> finish() {
    at_end_ = true;
    run();
    while (state_ == State::Arguments || state_ == State::ParameterName ||
           state_ == State::ValueBegin || state_ == State::Value) {
      abandon_call();
      run();  // over what was pending: it is content now
    }
    // White space at the end of content is content; newlines at the end of reasoning belong to the
    // tag that never came.
    if (state_ == State::Content) flush_held(ReplyEvent::Kind::Content);
    return std::exchange(events_, {});
  }

  const Reply& reply() const { return reply_; }

 private:
  enum class State {
    Reasoning,
    Content,
    Open,           // behind <tool_call>
    FunctionName,   // behind <function=
    Arguments,      // between parameters
    ParameterName,  // behind <parameter=
    ValueBegin,     // behind the > of a parameter
    Value,
    After,    // behind </function>
    Between,  // behind </tool_call>
  };

  void run() {
    while (step()) {
    }
  }

  /// Takes one step; false when more text is needed.
  bool step() {
    switch (state_) {
      case State::Reasoning:
        return step_reasoning();
      case State::Content:
        return step_content();
      case State::Open:
        return step_open();
      case State::FunctionName:
        return step_function_name();
      case State::Arguments:
        return step_arguments();
      case State::ParameterName:
        return step_parameter_name();
      case State::ValueBegin:
        return step_value_begin();
      case State::Value:
        return step_value();
      case State::After:
        return step_after();
      case State::Between:
        return step_between();
    }
    return false;
  }

  // --- output

  void emit(ReplyEvent::Kind kind, std::string_view text, int call = -1) {
    const bool mergeable = kind == ReplyEvent::Kind::Reasoning ||
                           kind == ReplyEvent::Kind::Content ||
                           kind == ReplyEvent::Kind::CallArguments;
    if (mergeable && text.empty()) return;
    if (kind == ReplyEvent::Kind::Reasoning) reply_.reasoning += text;
    if (kind == ReplyEvent::Kind::Content) reply_.content += text;
    if (kind == ReplyEvent::Kind::CallArguments) call_.arguments += text;
    if (mergeable && !events_.empty() && events_.back().kind == kind) {
      events_.back().text += text;
    } else {
      events_.push_back({kind, std::string(text), call});
    }
  }

  void flush_held(ReplyEvent::Kind kind) { emit(kind, std::exchange(held_, {})); }

  /// Emits text but keeps its trailing characters of `hold` back, until other text follows.
  void emit_text(ReplyEvent::Kind kind, std::string_view text, std::string_view hold) {
    const std::size_t last = text.find_last_not_of(hold);
    if (last == std::string_view::npos) {
      held_ += text;
      return;
    }
    flush_held(kind);
    emit(kind, text.substr(0, last + 1));
    held_ = text.substr(last + 1);
  }
  void emit_reasoning(std::string_view text) { emit_text(ReplyEvent::Kind::Reasoning, text, "\n"); }
  void emit_content(std::string_view text) { emit_text(ReplyEvent::Kind::Content, text, kSpaces); }

  // --- input

  std::string take(std::size_t n) {
    std::string text = pending_.substr(0, n);
    pending_.erase(0, n);
    return text;
  }
  /// Takes part of a call.
  void take_raw(std::size_t n) { raw_ += take(n); }
  std::size_t leading(std::string_view set) const {
    return std::min(pending_.find_first_not_of(set), pending_.size());
  }
  bool may_grow(Match m) const { return m == Match::Maybe && !at_end_; }

  /// Emits what precedes the first of `tags` and says which it was; else emits all that cannot be
  /// the beginning of one.
  template <class Emit>
  std::string_view emit_up_to(std::span<const std::string_view> tags, Emit&& emit_part) {
    std::size_t first = std::string::npos;
    std::string_view which;
    for (const std::string_view tag : tags) {
      const std::size_t at = pending_.find(tag);
      if (at < first) {
        first = at;
        which = tag;
      }
    }
    if (first != std::string::npos) {
      emit_part(take(first));
      pending_.erase(0, which.size());
      return which;
    }
    emit_part(take(pending_.size() - (at_end_ ? 0 : partial_tag(pending_, tags))));
    return {};
  }

  std::span<const std::string_view> tags(std::span<const std::string_view> all) const {
    return options_.parse_tool_calls ? all : all.first(all.size() - 1);  // kCall comes last
  }

  // --- text

  bool step_reasoning() {
    if (at_start_) {
      // Newlines before the thinking and a repeated <think> are swallowed, once.
      pending_.erase(0, leading("\n"));
      const Match again = match(pending_, kThink);
      if (may_grow(again)) return false;
      at_start_ = false;
      if (again == Match::Yes) {
        pending_.erase(0, kThink.size());
        skip_newlines_ = true;
      }
    }
    if (skip_newlines_ && !take_newlines()) return false;
    static constexpr std::array kTags = {kEndThink, kCall};
    const auto tag = emit_up_to(tags(kTags), [&](const std::string& t) { emit_reasoning(t); });
    if (tag.empty()) return false;
    if (tag == kCall) {
      open_call(State::Reasoning);
      return true;
    }
    held_.clear();
    state_ = State::Content;
    skip_newlines_ = true;
    return true;
  }

  /// Drops newlines at the front; false when that leaves nothing to look at.
  bool take_newlines() {
    pending_.erase(0, leading("\n"));
    if (pending_.empty()) return false;
    skip_newlines_ = false;
    return true;
  }

  bool step_content() {
    if (at_start_) {
      // The prompt closed or never opened the thinking; the model may do so again.
      const std::string_view text = std::string_view(pending_).substr(leading(kSpaces));
      const Match closes = match(text, kEndThink);
      const Match opens = match(text, kThink);
      if (may_grow(closes) || may_grow(opens)) return false;
      at_start_ = false;
      if (closes == Match::Yes || opens == Match::Yes) {
        pending_.erase(0, leading(kSpaces) + (closes == Match::Yes ? kEndThink : kThink).size());
        skip_newlines_ = true;
        if (opens == Match::Yes) state_ = State::Reasoning;
        return true;
      }
    }
    if (skip_newlines_ && !take_newlines()) return false;
    static constexpr std::array kTags = {kCall};
    const auto tag = emit_up_to(tags(kTags), [&](const std::string& t) { emit_content(t); });
    if (tag.empty()) return false;
    open_call(State::Content);
    return true;
  }

  // --- calls

  void open_call(State origin) {
    origin_ = origin;
    raw_ = kCall;
    state_ = State::Open;
  }

  /// It was not a call after all: the tag is text of where it stood.
  bool reject_call() {
    const std::string raw = std::exchange(raw_, {});
    state_ = origin_ == State::Reasoning ? State::Reasoning : State::Content;
    if (state_ == State::Reasoning) {
      emit_reasoning(raw);
    } else {
      if (origin_ == State::Between) separate_content();
      emit_content(raw);
    }
    return true;
  }

  /// A call with a name that breaks off.
  bool abandon_call() {
    emit(ReplyEvent::Kind::CallAbandoned, "", n_calls_ - 1);
    call_ = {};
    held_ = std::exchange(held_before_call_, {});
    if (origin_ == State::Reasoning) held_.clear();
    if (origin_ == State::Between) separate_content();
    state_ = State::Content;
    emit_content(std::exchange(raw_, {}));
    return true;
  }

  /// Content that goes on behind a call starts on a line of its own.
  void separate_content() {
    if (!reply_.content.empty()) held_ = "\n";
  }

  bool step_open() {
    take_raw(leading(kSpaces));
    const Match function = match(pending_, kFunction);
    if (may_grow(function)) return false;
    if (function != Match::Yes) return reject_call();
    take_raw(kFunction.size());
    state_ = State::FunctionName;
    return true;
  }

  /// The text up to '>', or nothing; sets `broken` when no name can come of it any more.
  std::string take_name(bool& broken) {
    const std::size_t end = pending_.find_first_of(">\n<");
    const bool found = end != std::string::npos;
    broken = found ? pending_[end] != '>' || end == 0 || end > kMaxName
                   : pending_.size() > kMaxName || at_end_;
    if (!found || broken) return {};
    std::string name = pending_.substr(0, end);
    take_raw(end + 1);
    return name;
  }

  bool step_function_name() {
    bool broken = false;
    std::string name = take_name(broken);
    if (broken) return reject_call();
    if (name.empty()) return false;
    begin_call(std::move(name));
    return true;
  }

  void begin_call(std::string name) {
    held_before_call_ = std::exchange(held_, {});
    call_ = {std::move(name), {}};
    emit(ReplyEvent::Kind::CallBegin, call_.name, n_calls_++);
    state_ = State::Arguments;
  }

  void emit_arguments(std::string_view text) {
    emit(ReplyEvent::Kind::CallArguments, text, n_calls_ - 1);
  }

  bool step_arguments() {
    take_raw(leading(kSpaces));
    const Match parameter = match(pending_, kParameter);
    const Match end = match(pending_, kEndFunction);
    const Match end_call = match(pending_, kEndCall);  // with </function> forgotten
    if (may_grow(parameter) || may_grow(end) || may_grow(end_call)) return false;
    if (parameter == Match::Yes) {
      take_raw(kParameter.size());
      state_ = State::ParameterName;
      return true;
    }
    if (end != Match::Yes && end_call != Match::Yes) return at_end_ ? false : abandon_call();
    if (end == Match::Yes) take_raw(kEndFunction.size());
    emit_arguments(call_.arguments.empty() ? "{}" : "}");
    emit(ReplyEvent::Kind::CallEnd, "", n_calls_ - 1);
    reply_.calls.push_back(std::exchange(call_, {}));
    held_before_call_.clear();
    state_ = State::After;
    return true;
  }

  bool step_parameter_name() {
    bool broken = false;
    const std::string name = take_name(broken);
    if (broken) return at_end_ ? false : abandon_call();
    if (name.empty()) return false;
    types_ = find_argument_types(options_.tools, call_.name, name);
    std::string key = call_.arguments.empty() ? "{\"" : ", \"";
    append_json_escaped(key, name);
    key += "\": ";
    if (types_.plain_text()) key += "\"";
    emit_arguments(key);
    state_ = State::ValueBegin;
    return true;
  }

  bool step_value_begin() {
    if (pending_.empty()) return false;
    // A value normally starts on the next line; without the newline it also ends without one.
    on_own_lines_ = pending_.front() == '\n';
    if (on_own_lines_) take_raw(1);
    value_.clear();
    value_empty_ = true;
    state_ = State::Value;
    return true;
  }

  bool step_value() {
    if (value_empty_ && on_own_lines_) {
      const Match end = match(pending_, kEndParameter);
      if (may_grow(end)) return false;
      if (end == Match::Yes) {
        end_value(kEndParameter.size());
        return true;
      }
    }
    std::size_t end = pending_.find(kEndValue);
    std::size_t size = kEndValue.size();
    if (!on_own_lines_) {
      const std::size_t bare = pending_.find(kEndParameter);
      if (bare < end) {
        end = bare;
        size = kEndParameter.size();
      }
    }
    if (end != std::string::npos) {
      add_value(end);
      end_value(size);
      return true;
    }
    static constexpr std::array kTags = {kEndValue, kEndParameter};
    const std::span<const std::string_view> candidates(kTags);
    const std::size_t keep =
        partial_tag(pending_, on_own_lines_ ? candidates.first(1) : candidates);
    add_value(pending_.size() - keep);
    return false;
  }

  void add_value(std::size_t n) {
    if (n == 0) return;
    value_empty_ = false;
    if (types_.plain_text()) {
      std::string escaped;
      append_json_escaped(escaped, std::string_view(pending_).substr(0, n));
      emit_arguments(escaped);
    } else {
      value_.append(pending_, 0, n);
    }
    take_raw(n);
  }

  void end_value(std::size_t tag_size) {
    take_raw(tag_size);
    emit_arguments(types_.plain_text() ? "\"" : argument_to_json(types_, value_));
    state_ = State::Arguments;
  }

  bool step_after() {
    pending_.erase(0, leading(kSpaces));
    const Match end = match(pending_, kEndCall);
    const Match another = match(pending_, kFunction);
    if (may_grow(end) || may_grow(another)) return false;
    if (another == Match::Yes) {  // several functions inside one pair of tags
      raw_ = kCall;
      take_raw(kFunction.size());
      origin_ = State::Between;
      state_ = State::FunctionName;
      return true;
    }
    if (end == Match::Yes) pending_.erase(0, kEndCall.size());
    state_ = State::Between;
    return true;
  }

  bool step_between() {
    pending_.erase(0, leading(kSpaces));
    const Match call = match(pending_, kCall);
    if (may_grow(call) || pending_.empty()) return false;
    if (call == Match::Yes) {
      pending_.erase(0, kCall.size());
      open_call(State::Between);
      return true;
    }
    separate_content();
    state_ = State::Content;
    return true;
  }

  ReplyParserOptions options_;
  State state_;
  bool at_start_ = true;
  bool at_end_ = false;
  bool skip_newlines_ = false;
  std::string pending_;
  std::string held_;
  std::vector<ReplyEvent> events_;
  Reply reply_;

  State origin_ = State::Content;
  std::string raw_;
  std::string held_before_call_;
  int n_calls_ = 0;
  Reply::Call call_;
  ArgumentTypes types_;
  std::string value_;
  bool value_empty_ = true;
  bool on_own_lines_ = true;
};

ReplyParser::ReplyParser(ReplyParserOptions options)
    : machine_(std::make_unique<Machine>(std::move(options))) {}
ReplyParser::ReplyParser(ReplyParser&&) noexcept = default;
ReplyParser& ReplyParser::operator=(ReplyParser&&) noexcept = default;
ReplyParser::~ReplyParser() = default;

std::vector<ReplyEvent> ReplyParser::feed(std::string_view piece) { return machine_->feed(piece); }
std::vector<ReplyEvent> ReplyParser::finish() { return machine_->finish(); }
const Reply& ReplyParser::reply() const { return machine_->reply(); }

bool opens_reasoning(std::string_view prompt) {
  const std::size_t open = prompt.rfind(kThink);
  if (open == std::string_view::npos) return false;
  return prompt.find_first_not_of(kSpaces, open + kThink.size()) == std::string_view::npos;
}

}  // namespace foretoken::chat
