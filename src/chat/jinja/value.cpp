// See value.h.
#include "chat/jinja/value.h"

#include <algorithm>
#include <compare>

#include "chat/jinja/unicode.h"

namespace foretoken::chat::jinja {
namespace {

template <class... Fs>
struct Overload : Fs... {
  using Fs::operator()...;
};
template <class... Fs>
Overload(Fs...) -> Overload<Fs...>;

// A mapping with more entries than this gets a hash index.
constexpr std::size_t kIndexFrom = 12;

int checked_depth(Context& context, int deepest_member) {
  if (deepest_member >= context.limits().max_value_depth) {
    context.fail_limit("lists or mappings are nested more than " +
                       std::to_string(context.limits().max_value_depth) + " deep");
  }
  return deepest_member + 1;
}

Value from_json_at(Context& context, const nlohmann::ordered_json& json, bool trusted, int depth) {
  checked_depth(context, depth);
  switch (json.type()) {
    case nlohmann::json::value_t::null:
      return None{};
    case nlohmann::json::value_t::boolean:
      return json.get<bool>();
    case nlohmann::json::value_t::number_integer:
      return Int{json.get<std::int64_t>()};
    case nlohmann::json::value_t::number_unsigned:
      return Int{json.get<std::uint64_t>()};
    case nlohmann::json::value_t::number_float:
      return json.get<double>();
    case nlohmann::json::value_t::string:
      return make_text(context, Text(json.get_ref<const std::string&>(), trusted));
    case nlohmann::json::value_t::array: {
      std::vector<Value> items;
      for (const auto& item : json)
        items.push_back(from_json_at(context, item, trusted, depth + 1));
      return make_list(context, std::move(items));
    }
    case nlohmann::json::value_t::object: {
      std::vector<std::pair<Value, Value>> entries;
      for (const auto& [key, item] : json.items()) {
        entries.emplace_back(make_text(context, Text(key, trusted)),
                             from_json_at(context, item, trusted, depth + 1));
      }
      return Dict::make(context, std::move(entries));
    }
    case nlohmann::json::value_t::binary:
    case nlohmann::json::value_t::discarded:
      break;
  }
  context.fail("a value that JSON text cannot express was passed in");
}

bool equal_lists(Context& context, const List& a, const List& b) {
  if (a.tuple != b.tuple || a.items.size() != b.items.size()) return false;
  for (std::size_t i = 0; i < a.items.size(); ++i) {
    if (!equal(context, a.items[i], b.items[i])) return false;
  }
  return true;
}

bool equal_dicts(Context& context, const Dict& a, const Dict& b) {
  if (a.entries().size() != b.entries().size()) return false;
  for (const auto& [key, value] : a.entries()) {
    const Value* other = b.find(context, key);
    if (other == nullptr || !equal(context, value, *other)) return false;
  }
  return true;
}

}  // namespace

const Text* Value::text() const {
  const auto* p = get_if<TextPtr>();
  return p == nullptr ? nullptr : p->get();
}

const List* Value::list() const {
  const auto* p = get_if<ListPtr>();
  return p == nullptr ? nullptr : p->get();
}

const Dict* Value::dict() const {
  const auto* p = get_if<DictPtr>();
  return p == nullptr ? nullptr : p->get();
}

int Value::depth() const {
  if (const List* l = list()) return l->depth;
  if (const Dict* d = dict()) return d->depth();
  if (const auto* callable = get_if<CallablePtr>()) return (*callable)->depth();
  if (const auto* loop = get_if<LoopPtr>()) return (*loop)->items->depth + 1;
  return 0;
}

bool Value::truthy() const {
  return std::visit(
      Overload{[](const Undefined&) { return false; }, [](const None&) { return false; },
               [](bool b) { return b; }, [](const Int& i) { return i != 0; },
               [](double d) { return d != 0; }, [](const TextPtr& t) { return !t->empty(); },
               [](const ListPtr& l) { return !l->items.empty(); },
               [](const DictPtr& d) { return !d->entries().empty(); },
               [](const NamespacePtr&) { return true; }, [](const CallablePtr&) { return true; },
               [](const LoopPtr&) { return true; }},
      data_);
}

std::string_view Value::type_name() const {
  return std::visit(
      Overload{[](const Undefined&) -> std::string_view { return "undefined"; },
               [](const None&) -> std::string_view { return "NoneType"; },
               [](bool) -> std::string_view { return "bool"; },
               [](const Int&) -> std::string_view { return "int"; },
               [](double) -> std::string_view { return "float"; },
               [](const TextPtr&) -> std::string_view { return "str"; },
               [](const ListPtr& l) -> std::string_view { return l->tuple ? "tuple" : "list"; },
               [](const DictPtr&) -> std::string_view { return "dict"; },
               [](const NamespacePtr&) -> std::string_view { return "namespace"; },
               [](const CallablePtr&) -> std::string_view { return "function"; },
               [](const LoopPtr&) -> std::string_view { return "loop"; }},
      data_);
}

// NOLINTNEXTLINE(performance-unnecessary-value-param): the entries are moved out one by one.
DictPtr Dict::make(Context& context, std::vector<std::pair<Value, Value>> entries) {
  context.charge_bytes(sizeof(Dict) + entries.size() * 2 * sizeof(std::pair<Value, Value>));
  auto dict = std::make_shared<Dict>();
  int deepest = 0;
  const bool indexed = entries.size() > kIndexFrom;
  for (auto& [key, value] : entries) {
    if (key.depth() > 0 || key.is<Undefined>() || key.is<NamespacePtr>()) {
      context.fail("a mapping's key must be a string or a number, not " +
                   std::string(key.type_name()));
    }
    deepest = std::max(deepest, value.depth());
    // The names are views of the keys' shared text, which stays put when the vector grows.
    const Text* name = key.text();
    if (indexed && name != nullptr) {
      const auto [slot, fresh] = dict->by_name_.emplace(name->bytes(), dict->entries_.size());
      if (!fresh) {
        dict->entries_[slot->second].second = std::move(value);
        continue;
      }
    } else if (const Value* old = dict->find(context, key)) {
      const_cast<Value&>(*old) = std::move(value);  // our own entry, not yet shared
      continue;
    }
    dict->entries_.emplace_back(std::move(key), std::move(value));
  }
  dict->depth_ = checked_depth(context, deepest);
  return dict;
}

const Value* Dict::find(std::string_view key) const {
  if (!by_name_.empty()) {
    const auto slot = by_name_.find(key);
    return slot == by_name_.end() ? nullptr : &entries_[slot->second].second;
  }
  for (const auto& [name, value] : entries_) {
    const Text* text = name.text();
    if (text != nullptr && text->bytes() == key) return &value;
  }
  return nullptr;
}

const Value* Dict::find(Context& context, const Value& key) const {
  if (key.depth() > 0) {
    context.fail("unhashable type: '" + std::string(key.type_name()) + "'");
  }
  if (const Text* text = key.text()) return find(text->bytes());
  context.charge_steps(1 + entries_.size() / 8);
  for (const auto& [name, value] : entries_) {
    if (!name.is<TextPtr>() && equal(context, name, key)) return &value;
  }
  return nullptr;
}

Value make_text(Context& context, Text text) {
  context.charge_bytes(sizeof(Text) + text.size() + text.runs().size() * sizeof(Text::Run));
  return std::make_shared<const Text>(std::move(text));
}

Value make_literal(Context& context, std::string text) {
  return make_text(context, Text(std::move(text), true));
}

Value make_list(Context& context, std::vector<Value> items, bool tuple) {
  context.charge_bytes(sizeof(List) + items.size() * sizeof(Value));
  int deepest = 0;
  for (const Value& item : items) deepest = std::max(deepest, item.depth());
  const int depth = checked_depth(context, deepest);
  return std::make_shared<const List>(List{std::move(items), tuple, depth});
}

Value from_json(Context& context, const nlohmann::ordered_json& json, bool trusted) {
  return from_json_at(context, json, trusted, 0);
}

bool is_number(const Value& value) {
  return value.is<bool>() || value.is<Int>() || value.is<double>();
}

double to_double(const Value& value) {
  if (const bool* b = value.get_if<bool>()) return *b ? 1 : 0;
  if (const Int* i = value.get_if<Int>()) return static_cast<double>(*i);
  return *value.get_if<double>();
}

const Int* find_int(const Value& value, Int& storage) {
  if (const bool* b = value.get_if<bool>()) {
    storage = *b ? 1 : 0;
    return &storage;
  }
  return value.get_if<Int>();
}

bool equal(Context& context, const Value& a, const Value& b) {
  context.charge_steps();
  if (is_number(a) && is_number(b)) {
    Int x_store = 0;
    Int y_store = 0;
    const Int* x = find_int(a, x_store);
    const Int* y = find_int(b, y_store);
    if (x != nullptr && y != nullptr) return *x == *y;
    return to_double(a) == to_double(b);
  }
  if (a.data().index() != b.data().index()) return false;
  if (a.is<Undefined>() || a.is<None>()) return true;
  if (const Text* text = a.text()) {
    if (text->size() != b.text()->size()) return false;
    context.charge_scan(text->size());
    return text->bytes() == b.text()->bytes();
  }
  if (a.is<ListPtr>()) return equal_lists(context, *a.list(), *b.list());
  if (a.is<DictPtr>()) return equal_dicts(context, *a.dict(), *b.dict());
  return a.data() == b.data();  // the same object
}

bool less(Context& context, const Value& a, const Value& b) {
  context.charge_steps();
  if (is_number(a) && is_number(b)) {
    Int x_store = 0;
    Int y_store = 0;
    const Int* x = find_int(a, x_store);
    const Int* y = find_int(b, y_store);
    if (x != nullptr && y != nullptr) return *x < *y;
    return to_double(a) < to_double(b);
  }
  if (a.is<TextPtr>() && b.is<TextPtr>()) {
    context.charge_scan(std::min(a.text()->size(), b.text()->size()));
    return a.text()->bytes() < b.text()->bytes();  // UTF-8 sorts as its code points do
  }
  if (a.is<ListPtr>() && b.is<ListPtr>()) {
    const auto& x = a.list()->items;
    const auto& y = b.list()->items;
    for (std::size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
      if (!equal(context, x[i], y[i])) return less(context, x[i], y[i]);
    }
    return x.size() < y.size();
  }
  context.fail("'<' is not supported between " + std::string(a.type_name()) + " and " +
               std::string(b.type_name()));
}

ListPtr iterate(Context& context, const Value& value) {
  if (const auto* list = value.get_if<ListPtr>()) return *list;
  std::vector<Value> items;
  if (const Dict* dict = value.dict()) {
    context.charge_steps(dict->entries().size());
    for (const auto& entry : dict->entries()) items.push_back(entry.first);
  } else if (const Text* text = value.text()) {
    const std::string_view bytes = text->bytes();
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t end = at + decode(bytes, at).size;
      context.charge_steps();
      items.push_back(make_text(context, text->slice(at, end)));
      at = end;
    }
  } else if (!value.is<Undefined>()) {
    context.fail("a value of type " + std::string(value.type_name()) + " cannot be iterated over");
  }
  return *make_list(context, std::move(items)).get_if<ListPtr>();
}

}  // namespace foretoken::chat::jinja
