// Filters on strings. What is not a string is turned into one first, as Jinja does.
#include <string>

#include "chat/jinja/arguments.h"
#include "chat/jinja/builtins.h"
#include "chat/jinja/strings.h"
#include "chat/jinja/to_text.h"

namespace foretoken::chat::jinja {
namespace {

/// The input as text: borrowed when it is a string, else built.
class Input {
 public:
  Input(Context& context, const Value& value) {
    if (value.is<TextPtr>()) {
      text_ = value.text();
    } else {
      built_ = to_text(context, value);
      text_ = &built_;
    }
  }
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;
  ~Input() = default;
  const Text& operator*() const { return *text_; }

 private:
  Text built_;
  const Text* text_;
};

Value trim_filter(Evaluator& evaluator, const Value& input, const Arguments& arguments) {
  const ArgumentReader args(evaluator.context(), arguments, "trim", {"chars"});
  const Input text(evaluator.context(), input);
  return trim(evaluator.context(), *text, Ends::Both, args.find_text(0));
}

template <Value (*function)(Context&, const Text&)>
Value case_filter(Evaluator& evaluator, const Value& input, const Arguments& arguments) {
  const ArgumentReader args(evaluator.context(), arguments, "this filter", {});
  const Input text(evaluator.context(), input);
  return function(evaluator.context(), *text);
}

Value title_filter(Evaluator& evaluator, const Value& input, const Arguments& arguments) {
  const ArgumentReader args(evaluator.context(), arguments, "title", {});
  const Input text(evaluator.context(), input);
  return title_case(evaluator.context(), *text, [](char32_t c) {
    return is_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
  });
}

Value replace_filter(Evaluator& evaluator, const Value& input, const Arguments& arguments) {
  const ArgumentReader args(evaluator.context(), arguments, "replace", {"old", "new", "count"});
  const Input text(evaluator.context(), input);
  return replace(evaluator.context(), *text, args.require_text(0), args.require_text(1),
                 args.int_or(2, -1));
}

Value escape(Evaluator& evaluator, const Value& input, const Arguments& arguments) {
  Context& context = evaluator.context();
  const ArgumentReader args(context, arguments, "escape", {});
  const Input text(context, input);
  const std::string& bytes = (*text).bytes();
  TextBuilder out(context);
  std::size_t plain = 0;
  for (std::size_t at = bytes.find_first_of("&<>'\""); at != std::string::npos;
       at = bytes.find_first_of("&<>'\"", plain)) {
    out.append(*text, plain, at);
    const char c = bytes[at];
    const char* entity = c == '&'    ? "&amp;"
                         : c == '<'  ? "&lt;"
                         : c == '>'  ? "&gt;"
                         : c == '\'' ? "&#39;"
                                     : "&#34;";
    out.append(entity, (*text).trusted_at(at));
    plain = at + 1;
  }
  out.append(*text, plain, bytes.size());
  return make_text(context, out.take());
}

Value indent(Evaluator& evaluator, const Value& input, const Arguments& arguments) {
  Context& context = evaluator.context();
  const ArgumentReader args(context, arguments, "indent", {"width", "first", "blank"});
  Text margin;
  if (args.find(0) != nullptr && args.find(0)->is<TextPtr>()) {
    margin = args.require_text(0);
  } else {
    const Int width = args.int_or(0, 4);
    if (width < 0 || width > 1000) context.fail("the width of 'indent' must be from 0 to 1000");
    margin.append(std::string(static_cast<std::size_t>(width), ' '), true);
  }
  const bool blank = args.bool_or(2, false);
  const Input text(context, input);
  const std::string& bytes = (*text).bytes();
  TextBuilder out(context);
  if (args.bool_or(1, false)) out.append(margin);
  std::size_t begin = 0;
  while (true) {
    const std::size_t newline = bytes.find('\n', begin);
    const std::size_t end = newline == std::string::npos ? bytes.size() : newline + 1;
    out.append(*text, begin, end);
    if (newline == std::string::npos) break;
    const bool empty_line = end == bytes.size() || bytes[end] == '\n';
    if (blank || !empty_line) out.append(margin);
    begin = end;
  }
  return make_text(context, out.take());
}

constexpr Filter kFilters[] = {
    {"trim", trim_filter},
    {"upper", case_filter<upper_case>},
    {"lower", case_filter<lower_case>},
    {"capitalize", case_filter<capitalise>},
    {"title", title_filter},
    {"replace", replace_filter},
    {"escape", escape},
    {"e", escape},
    {"indent", indent},
};

}  // namespace

std::span<const Filter> text_filters() { return kFilters; }

}  // namespace foretoken::chat::jinja
