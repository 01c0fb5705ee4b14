// Methods of strings, lists and mappings: the ones of Python's that chat templates call.
// Mutating methods (append, update) are absent on purpose: the sandbox that templates are written
// for refuses them too, and values here are immutable.
#include <array>
#include <span>

#include "chat/jinja/arguments.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/strings.h"
#include "chat/jinja/text_builder.h"
#include "chat/jinja/to_text.h"

namespace foretoken::chat::jinja {
namespace {

struct MethodEntry {
  std::string_view name;
  Value (*function)(Context& context, const Value& receiver, const Arguments& arguments);
};

class Method final : public Callable {
 public:
  Method(Value receiver, const MethodEntry& entry, Context& context)
      : receiver_(std::move(receiver)), entry_(entry), context_(context) {}
  Value call(Evaluator&, Arguments& arguments) const override {
    return entry_.function(context_, receiver_, arguments);
  }
  std::string_view name() const override { return entry_.name; }
  int depth() const override { return receiver_.depth() + 1; }

 private:
  Value receiver_;
  const MethodEntry& entry_;
  Context& context_;  // of the rendering that looked it up; values do not outlive it
};

template <Ends ends>
Value strip(Context& context, const Value& self, const Arguments& arguments) {
  const ArgumentReader args(context, arguments, "strip", {"chars"});
  return trim(context, *self.text(), ends, args.find_text(0));
}

template <bool from_right>
Value split_method(Context& context, const Value& self, const Arguments& arguments) {
  const ArgumentReader args(context, arguments, "split", {"sep", "maxsplit"});
  return split(context, *self.text(), args.find_text(0), args.int_or(1, -1), from_right);
}

Value splitlines(Context& context, const Value& self, const Arguments& arguments) {
  const ArgumentReader args(context, arguments, "splitlines", {});
  return split_lines(context, *self.text());
}

bool matches_end(std::string_view text, std::string_view part, bool at_start) {
  return at_start ? text.starts_with(part) : text.ends_with(part);
}

template <bool at_start>
Value with_end(Context& context, const Value& self, const Arguments& arguments) {
  const ArgumentReader args(context, arguments, at_start ? "startswith" : "endswith", {"prefix"});
  const std::string& text = self.text()->bytes();
  const List* options = args.require(0).list();
  if (options == nullptr) return matches_end(text, args.require_text(0).bytes(), at_start);
  for (const Value& option : options->items) {
    context.charge_steps();
    if (!option.is<TextPtr>()) context.fail("every member of the tuple must be a string");
    if (matches_end(text, option.text()->bytes(), at_start)) return true;
  }
  return false;
}

template <bool at_start>
Value without_end(Context& context, const Value& self, const Arguments& arguments) {
  const ArgumentReader args(context, arguments, at_start ? "removeprefix" : "removesuffix",
                            {"part"});
  const Text& text = *self.text();
  const std::string& part = args.require_text(0).bytes();
  if (!matches_end(text.bytes(), part, at_start)) return self;
  return make_text(context, at_start ? text.slice(part.size(), text.size())
                                     : text.slice(0, text.size() - part.size()));
}

template <Value (*function)(Context&, const Text&)>
Value case_method(Context& context, const Value& self, const Arguments& arguments) {
  const ArgumentReader args(context, arguments, "this method", {});
  return function(context, *self.text());
}

Value title(Context& context, const Value& self, const Arguments& arguments) {
  const ArgumentReader args(context, arguments, "title", {});
  // Python: a word starts behind anything that has no case.
  return title_case(context, *self.text(),
                    [](char32_t c) { return to_upper(c) == c && to_lower(c) == c; });
}

Value replace_method(Context& context, const Value& self, const Arguments& arguments) {
  const ArgumentReader args(context, arguments, "replace", {"old", "new", "count"});
  return replace(context, *self.text(), args.require_text(0), args.require_text(1),
                 args.int_or(2, -1));
}

template <bool from_right>
Value find_method_of_text(Context& context, const Value& self, const Arguments& arguments) {
  const ArgumentReader args(context, arguments, from_right ? "rfind" : "find", {"sub"});
  const std::string& text = self.text()->bytes();
  const std::string& part = args.require_text(0).bytes();
  context.charge_scan(text.size());
  const std::size_t at = from_right ? text.rfind(part) : text.find(part);
  if (at == std::string::npos) return Int{-1};
  return static_cast<Int>(count_characters(std::string_view(text).substr(0, at)));
}

Value count_in_text(Context& context, const Value& self, const Arguments& arguments) {
  const ArgumentReader args(context, arguments, "count", {"sub"});
  const std::string& text = self.text()->bytes();
  const std::string& part = args.require_text(0).bytes();
  context.charge_scan(text.size());
  if (part.empty()) return static_cast<Int>(count_characters(text) + 1);
  Int n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos;
       at = text.find(part, at + part.size())) {
    ++n;
  }
  return n;
}

Value join_method(Context& context, const Value& self, const Arguments& arguments) {
  const ArgumentReader args(context, arguments, "join", {"iterable"});
  TextBuilder out(context);
  bool first = true;
  const ListPtr members = iterate(context, args.require(0));
  for (const Value& item : members->items) {
    if (!item.is<TextPtr>())
      context.fail("'join' needs strings, not " + std::string(item.type_name()));
    if (!first) out.append(*self.text());
    first = false;
    out.append(*item.text());
  }
  return make_text(context, out.take());
}

template <bool (*holds)(char32_t)>
Value all_characters(Context& context, const Value& self, const Arguments& arguments) {
  const ArgumentReader args(context, arguments, "this method", {});
  const std::string& bytes = self.text()->bytes();
  context.charge_scan(bytes.size());
  for (std::size_t at = 0; at < bytes.size(); at += decode(bytes, at).size) {
    if (!holds(decode(bytes, at).value)) return false;
  }
  return !bytes.empty();
}
bool is_ascii_digit(char32_t c) { return c >= '0' && c <= '9'; }

Value dict_items(Context& context, const Value& self, const Arguments& arguments) {
  const ArgumentReader args(context, arguments, "items", {});
  std::vector<Value> items;
  for (const auto& [key, value] : self.dict()->entries()) {
    context.charge_steps();
    items.push_back(make_list(context, {key, value}, true));
  }
  return make_list(context, std::move(items));
}

Value dict_keys(Context& context, const Value& self, const Arguments& arguments) {
  const ArgumentReader args(context, arguments, "keys", {});
  return iterate(context, self);
}

Value dict_values(Context& context, const Value& self, const Arguments& arguments) {
  const ArgumentReader args(context, arguments, "values", {});
  std::vector<Value> items;
  context.charge_steps(self.dict()->entries().size());
  for (const auto& entry : self.dict()->entries()) items.push_back(entry.second);
  return make_list(context, std::move(items));
}

Value dict_get(Context& context, const Value& self, const Arguments& arguments) {
  const ArgumentReader args(context, arguments, "get", {"key", "default"});
  if (const Value* found = self.dict()->find(context, args.require(0))) return *found;
  return args.find(1) != nullptr ? *args.find(1) : Value(None{});
}

Value list_index(Context& context, const Value& self, const Arguments& arguments) {
  const ArgumentReader args(context, arguments, "index", {"value"});
  const auto& items = self.list()->items;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (equal(context, items[i], args.require(0))) return static_cast<Int>(i);
  }
  context.fail("'index' did not find the value in the list");
}

Value list_count(Context& context, const Value& self, const Arguments& arguments) {
  const ArgumentReader args(context, arguments, "count", {"value"});
  Int n = 0;
  for (const Value& item : self.list()->items) n += equal(context, item, args.require(0)) ? 1 : 0;
  return n;
}

constexpr MethodEntry kTextMethods[] = {
    {"strip", strip<Ends::Both>},
    {"lstrip", strip<Ends::Left>},
    {"rstrip", strip<Ends::Right>},
    {"split", split_method<false>},
    {"rsplit", split_method<true>},
    {"splitlines", splitlines},
    {"startswith", with_end<true>},
    {"endswith", with_end<false>},
    {"removeprefix", without_end<true>},
    {"removesuffix", without_end<false>},
    {"upper", case_method<upper_case>},
    {"lower", case_method<lower_case>},
    {"capitalize", case_method<capitalise>},
    {"title", title},
    {"replace", replace_method},
    {"find", find_method_of_text<false>},
    {"rfind", find_method_of_text<true>},
    {"count", count_in_text},
    {"join", join_method},
    {"isdigit", all_characters<is_ascii_digit>},
    {"isspace", all_characters<is_space>},
};
constexpr MethodEntry kDictMethods[] = {
    {"items", dict_items}, {"keys", dict_keys}, {"values", dict_values}, {"get", dict_get}};
constexpr MethodEntry kListMethods[] = {{"index", list_index}, {"count", list_count}};

}  // namespace

std::optional<Value> find_method(Context& context, const Value& receiver, std::string_view name) {
  std::span<const MethodEntry> methods;
  if (receiver.is<TextPtr>()) methods = kTextMethods;
  if (receiver.is<DictPtr>()) methods = kDictMethods;
  if (receiver.is<ListPtr>()) methods = kListMethods;
  for (const MethodEntry& entry : methods) {
    if (entry.name != name) continue;
    context.charge_bytes(sizeof(Method));
    return CallablePtr(std::make_shared<const Method>(receiver, entry, context));
  }
  return std::nullopt;
}

}  // namespace foretoken::chat::jinja
