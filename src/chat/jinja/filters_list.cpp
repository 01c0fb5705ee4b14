// Filters on lists and mappings. Where Jinja gives a generator, these give a list.
#include <algorithm>

#include "chat/jinja/arguments.h"
#include "chat/jinja/builtins.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/strings.h"
#include "chat/jinja/to_text.h"

namespace foretoken::chat::jinja {
namespace {

/// Follows a path such as "function.name" or "0.id" from `value`; `fallback`, if not null, replaces
/// whatever is undefined on the way.
Value follow(Context& context, Value value, const Value& path, const Value* fallback = nullptr) {
  const auto step = [&](const Value& key) {
    value = find_item(context, value, key);
    if (value.is<Undefined>() && fallback != nullptr) value = *fallback;
  };
  if (!path.is<TextPtr>()) {
    step(path);
    return value;
  }
  const ListPtr parts =
      *split(context, *path.text(), make_literal(context, ".").text(), -1, false).get_if<ListPtr>();
  for (const Value& part : parts->items) {
    const std::string& name = part.text()->bytes();
    const bool number =
        !name.empty() && name.size() < 10 &&
        std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
    step(number ? Value(Int{std::stol(name)}) : part);
  }
  return value;
}

/// What an item is sorted or compared by: an attribute perhaps, without regard to case perhaps.
Value sort_key(Context& context, const Value& item, const Value* attribute, bool case_sensitive) {
  Value key =
      attribute == nullptr || attribute->is<None>() ? item : follow(context, item, *attribute);
  if (!case_sensitive && key.is<TextPtr>()) return lower_case(context, *key.text());
  return key;
}

std::vector<Value> sorted_by(Context& context, const std::vector<Value>& items,
                             const std::vector<Value>& keys, bool reverse) {
  std::vector<std::size_t> order(items.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return reverse ? less(context, keys[b], keys[a]) : less(context, keys[a], keys[b]);
  });
  std::vector<Value> sorted;
  sorted.reserve(order.size());
  for (const std::size_t i : order) sorted.push_back(items[i]);
  return sorted;
}

Value length_filter(Evaluator& evaluator, const Value& input, const Arguments& arguments) {
  const ArgumentReader args(evaluator.context(), arguments, "length", {});
  return static_cast<Int>(length(evaluator.context(), input));
}

Value list_filter(Evaluator& evaluator, const Value& input, const Arguments& arguments) {
  const ArgumentReader args(evaluator.context(), arguments, "list", {});
  const ListPtr items = iterate(evaluator.context(), input);
  return items->tuple ? make_list(evaluator.context(), items->items) : Value(items);
}

template <bool at_front>
Value end_item(Evaluator& evaluator, const Value& input, const Arguments& arguments) {
  const ArgumentReader args(evaluator.context(), arguments, at_front ? "first" : "last", {});
  const ListPtr items = iterate(evaluator.context(), input);
  if (items->items.empty()) return Undefined{};
  return at_front ? items->items.front() : items->items.back();
}

Value items_filter(Evaluator& evaluator, const Value& input, const Arguments& arguments) {
  Context& context = evaluator.context();
  const ArgumentReader args(context, arguments, "items", {});
  if (input.is<Undefined>()) return make_list(context, {});
  if (!input.is<DictPtr>()) context.fail("Can only get item pairs from a mapping.");
  Arguments none;
  return (*find_method(context, input, "items")->get_if<CallablePtr>())->call(evaluator, none);
}

Value join(Evaluator& evaluator, const Value& input, const Arguments& arguments) {
  Context& context = evaluator.context();
  const ArgumentReader args(context, arguments, "join", {"d", "attribute"});
  const Text separator = args.find(0) == nullptr ? Text() : to_text(context, *args.find(0));
  TextBuilder out(context);
  bool first = true;
  const ListPtr members = iterate(context, input);
  for (const Value& item : members->items) {
    if (!first) out.append(separator);
    first = false;
    append_str(out, args.find(1) == nullptr ? item : follow(context, item, *args.find(1)));
  }
  return make_text(context, out.take());
}

Value map(Evaluator& evaluator, const Value& input, const Arguments& arguments) {
  Context& context = evaluator.context();
  const ListPtr items = iterate(context, input);
  std::vector<Value> mapped;
  if (arguments.positional.empty()) {
    const ArgumentReader args(context, arguments, "map", {"attribute", "default"});
    for (const Value& item : items->items) {
      mapped.push_back(follow(context, item, args.require(0), args.find(1)));
    }
    return make_list(context, std::move(mapped));
  }
  const Text* name = arguments.positional[0].text();
  if (name == nullptr) context.fail("'map' needs a filter's name or attribute=...");
  const Arguments rest{{arguments.positional.begin() + 1, arguments.positional.end()},
                       arguments.named};
  for (const Value& item : items->items) {
    mapped.push_back(apply_filter(evaluator, name->bytes(), item, rest));
  }
  return make_list(context, std::move(mapped));
}

/// select, reject (by_attribute false) and selectattr, rejectattr.
template <bool by_attribute, bool wanted>
Value choose(Evaluator& evaluator, const Value& input, const Arguments& arguments) {
  Context& context = evaluator.context();
  const auto& given = arguments.positional;
  constexpr std::size_t kTest = by_attribute ? 1 : 0;
  if (given.size() < kTest) context.fail("this filter needs an attribute's name");
  const Text* test = nullptr;
  Arguments rest;
  if (given.size() > kTest) {
    test = given[kTest].text();
    if (test == nullptr) context.fail("this filter needs a test's name");
    rest.positional.assign(given.begin() + kTest + 1, given.end());
    rest.named = arguments.named;
  }
  std::vector<Value> chosen;
  const ListPtr members = iterate(context, input);
  for (const Value& item : members->items) {
    context.charge_steps();
    const Value value = by_attribute ? follow(context, item, given[0]) : item;
    const bool holds =
        test == nullptr ? value.truthy() : apply_test(evaluator, test->bytes(), value, rest);
    if (holds == wanted) chosen.push_back(item);
  }
  return make_list(context, std::move(chosen));
}

Value dictsort(Evaluator& evaluator, const Value& input, const Arguments& arguments) {
  Context& context = evaluator.context();
  const ArgumentReader args(context, arguments, "dictsort", {"case_sensitive", "by", "reverse"});
  const std::string by = args.find_text(1) != nullptr ? args.find_text(1)->bytes() : "key";
  if (by != "key" && by != "value") context.fail("'dictsort' sorts by 'key' or 'value'");
  if (!input.is<DictPtr>()) context.fail("'dictsort' needs a mapping");
  const Value pairs = items_filter(evaluator, input, {});
  std::vector<Value> keys;
  for (const Value& pair : pairs.list()->items) {
    keys.push_back(sort_key(context, pair.list()->items[by == "key" ? 0 : 1], nullptr,
                            args.bool_or(0, false)));
  }
  return make_list(context, sorted_by(context, pairs.list()->items, keys, args.bool_or(2, false)));
}

Value sort(Evaluator& evaluator, const Value& input, const Arguments& arguments) {
  Context& context = evaluator.context();
  const ArgumentReader args(context, arguments, "sort", {"reverse", "case_sensitive", "attribute"});
  const ListPtr items = iterate(context, input);
  std::vector<Value> keys;
  for (const Value& item : items->items) {
    keys.push_back(sort_key(context, item, args.find(2), args.bool_or(1, false)));
  }
  return make_list(context, sorted_by(context, items->items, keys, args.bool_or(0, false)));
}

Value unique(Evaluator& evaluator, const Value& input, const Arguments& arguments) {
  Context& context = evaluator.context();
  const ArgumentReader args(context, arguments, "unique", {"case_sensitive", "attribute"});
  std::vector<Value> kept;
  std::vector<Value> seen;
  const ListPtr members = iterate(context, input);
  for (const Value& item : members->items) {
    const Value key = sort_key(context, item, args.find(1), args.bool_or(0, false));
    const bool known = std::any_of(seen.begin(), seen.end(),
                                   [&](const Value& other) { return equal(context, key, other); });
    if (known) continue;
    seen.push_back(key);
    kept.push_back(item);
  }
  return make_list(context, std::move(kept));
}

Value reverse(Evaluator& evaluator, const Value& input, const Arguments& arguments) {
  Context& context = evaluator.context();
  const ArgumentReader args(context, arguments, "reverse", {});
  if (input.is<TextPtr>()) return take_slice(context, input, std::nullopt, std::nullopt, Int{-1});
  const ListPtr items = iterate(context, input);
  return make_list(context, {items->items.rbegin(), items->items.rend()});
}

Value sum(Evaluator& evaluator, const Value& input, const Arguments& arguments) {
  Context& context = evaluator.context();
  const ArgumentReader args(context, arguments, "sum", {"attribute", "start"});
  Value total = args.find(1) != nullptr ? *args.find(1) : Value(Int{0});
  const ListPtr members = iterate(context, input);
  for (const Value& item : members->items) {
    context.charge_steps();
    const Value value = args.find(0) == nullptr || args.find(0)->is<None>()
                            ? item
                            : follow(context, item, *args.find(0));
    total = apply_binary(context, BinaryOp::Add, total, value);
  }
  return total;
}

template <bool largest>
Value extreme(Evaluator& evaluator, const Value& input, const Arguments& arguments) {
  Context& context = evaluator.context();
  const ArgumentReader args(context, arguments, largest ? "max" : "min",
                            {"case_sensitive", "attribute"});
  Value best = Undefined{};
  Value best_key;
  bool first = true;
  const ListPtr members = iterate(context, input);
  for (const Value& item : members->items) {
    Value key = sort_key(context, item, args.find(1), args.bool_or(0, false));
    if (first || (largest ? less(context, best_key, key) : less(context, key, best_key))) {
      best = item;
      best_key = std::move(key);
    }
    first = false;
  }
  return best;
}

constexpr Filter kFilters[] = {
    {"length", length_filter},
    {"count", length_filter},
    {"list", list_filter},
    {"first", end_item<true>},
    {"last", end_item<false>},
    {"items", items_filter},
    {"join", join},
    {"map", map},
    {"select", choose<false, true>},
    {"reject", choose<false, false>},
    {"selectattr", choose<true, true>},
    {"rejectattr", choose<true, false>},
    {"dictsort", dictsort},
    {"sort", sort},
    {"unique", unique},
    {"reverse", reverse},
    {"sum", sum},
    {"min", extreme<false>},
    {"max", extreme<true>},
};

}  // namespace

std::span<const Filter> list_filters() { return kFilters; }

}  // namespace foretoken::chat::jinja
