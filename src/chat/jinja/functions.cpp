// Global functions of templates.
// Source: docs/chat-template.md, "Functions"; Hugging Face's template environment.
#include <ctime>

#include "chat/jinja/arguments.h"
#include "chat/jinja/builtins.h"
#include "chat/jinja/to_text.h"

namespace foretoken::chat::jinja {
namespace {

class BuiltinFunction final : public Callable {
 public:
  explicit BuiltinFunction(const Builtin& builtin) : builtin_(builtin) {}
  Value call(Evaluator& evaluator, Arguments& arguments) const override {
    return builtin_.function(evaluator, arguments);
  }
  std::string_view name() const override { return builtin_.name; }

 private:
  const Builtin& builtin_;
};

Value range(Evaluator& evaluator, const Arguments& arguments) {
  Context& context = evaluator.context();
  const ArgumentReader args(context, arguments, "range", {"start", "stop", "step"});
  args.require(0);
  const bool only_stop = args.find(1) == nullptr;
  const Int start = only_stop ? Int{0} : args.int_or(0, 0);
  const Int stop = only_stop ? args.int_or(0, 0) : args.int_or(1, 0);
  const Int step = args.int_or(2, 1);
  if (step == 0) context.fail("the step of 'range' cannot be zero");
  std::vector<Value> items;
  for (Int i = start; step > 0 ? i < stop : i > stop;) {
    context.charge_steps();
    context.charge_bytes(sizeof(Value));
    items.push_back(i);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return make_list(context, std::move(items));
}

Value make_namespace(Evaluator& evaluator, const Arguments& arguments) {
  Context& context = evaluator.context();
  auto ns = std::make_shared<Namespace>();
  for (const Value& value : arguments.positional) {
    if (!value.is<DictPtr>()) context.fail("'namespace' takes named values or a mapping");
    for (const auto& [key, member] : value.dict()->entries()) {
      context.charge_bytes(sizeof(Value) * 2);
      if (key.is<TextPtr>()) ns->attributes.insert_or_assign(key.text()->bytes(), member);
    }
  }
  for (const auto& [name, value] : arguments.named) {
    ns->attributes.insert_or_assign(std::string(name), value);
  }
  return evaluator.adopt(std::move(ns));
}

Value make_dict(Evaluator& evaluator, const Arguments& arguments) {
  Context& context = evaluator.context();
  std::vector<std::pair<Value, Value>> entries;
  for (const Value& value : arguments.positional) {
    if (!value.is<DictPtr>()) context.fail("'dict' takes named values or a mapping");
    const auto& more = value.dict()->entries();
    context.charge_bytes(more.size() * sizeof(more[0]));
    entries.insert(entries.end(), more.begin(), more.end());
  }
  for (const auto& [name, value] : arguments.named) {
    entries.emplace_back(make_literal(context, std::string(name)), value);
  }
  return Dict::make(context, std::move(entries));
}

Value raise_exception(Evaluator& evaluator, const Arguments& arguments) {
  Context& context = evaluator.context();
  const ArgumentReader args(context, arguments, "raise_exception", {"message"});
  throw TemplateError(TemplateError::Cause::Raised, context.at,
                      to_text(context, args.require(0)).bytes());
}

Value strftime_now(Evaluator& evaluator, const Arguments& arguments) {
  Context& context = evaluator.context();
  const ArgumentReader args(context, arguments, "strftime_now", {"format"});
  const std::string& format = args.require_text(0).bytes();
  if (format.size() > 256) context.fail("the format of 'strftime_now' is too long");
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  if (localtime_r(&now, &local) == nullptr) context.fail("the local time is not available");
  // Each of the directives that repeat in a format of this length gives well under 64 characters.
  std::string out(format.size() * 64 + 1, '\0');
  const std::size_t n = std::strftime(out.data(), out.size(), format.c_str(), &local);
  out.resize(n);
  return make_literal(context, std::move(out));
}

constexpr Builtin kFunctions[] = {{"range", range},
                                  {"namespace", make_namespace},
                                  {"dict", make_dict},
                                  {"raise_exception", raise_exception},
                                  {"strftime_now", strftime_now}};

}  // namespace

std::span<const Builtin> builtin_functions() { return kFunctions; }

Value make_builtin(const Builtin& builtin) {
  return CallablePtr(std::make_shared<const BuiltinFunction>(builtin));
}

}  // namespace foretoken::chat::jinja
