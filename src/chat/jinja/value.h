// The values of template expressions, with Python's meanings: undefined, none, booleans, integers,
// floats, strings, lists and tuples, mappings, namespaces, loops and callables.
//
// Everything but a namespace is immutable and shared by reference count. Containers know how deep
// they nest, so that no chain of them can overflow the stack when it is walked or destroyed.
// Namespaces, the only way to build a cycle, are owned by the evaluator until a rendering ends.
#pragma once

#include <concepts>
#include <cstddef>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "chat/jinja/context.h"
#include "chat/jinja/text.h"

namespace foretoken::chat::jinja {

class Callable;
class Dict;
class Value;
struct List;
struct Loop;
struct Namespace;

/// Wide enough for every integer that JSON may carry; Python's have no bound.
// NOLINTNEXTLINE(modernize-use-using): __extension__ may stand before a typedef only.
__extension__ typedef __int128 Int;

/// `name` says what was looked up, for error texts; it points into the template's syntax tree.
struct Undefined {
  std::string_view name;
  bool operator==(const Undefined&) const { return true; }
};
struct None {
  bool operator==(const None&) const { return true; }
};

using TextPtr = std::shared_ptr<const Text>;
using ListPtr = std::shared_ptr<const List>;
using DictPtr = std::shared_ptr<const Dict>;
using NamespacePtr = std::shared_ptr<Namespace>;
using CallablePtr = std::shared_ptr<const Callable>;
using LoopPtr = std::shared_ptr<const Loop>;

template <class T, class... Ts>
concept AnyOf = (std::same_as<T, Ts> || ...);

class Value {
 public:
  using Data = std::variant<Undefined, None, bool, Int, double, TextPtr, ListPtr, DictPtr,
                            NamespacePtr, CallablePtr, LoopPtr>;

  Value() : data_(Undefined{}) {}
  template <AnyOf<Undefined, None, bool, Int, double, TextPtr, ListPtr, DictPtr, NamespacePtr,
                  CallablePtr, LoopPtr>
                T>
  Value(T value) : data_(std::in_place_type<T>, std::move(value)) {}  // NOLINT: a sum type

  const Data& data() const { return data_; }
  template <class T>
  const T* get_if() const {
    return std::get_if<T>(&data_);
  }
  template <class T>
  bool is() const {
    return std::holds_alternative<T>(data_);
  }
  const Text* text() const;
  const List* list() const;
  const Dict* dict() const;

  /// 0 for scalars, 1 + the deepest member for containers.
  int depth() const;
  /// Python's truth: undefined, none, zero and everything empty are false.
  bool truthy() const;
  /// Python's name of the type, for error texts: "str", "dict".
  std::string_view type_name() const;

 private:
  Data data_;
};

struct List {
  std::vector<Value> items;
  bool tuple = false;  ///< only printing and comparing tell them apart
  int depth = 1;
};

/// An ordered mapping. Keys are strings, integers, booleans or none.
class Dict {
 public:
  /// Later duplicates of a key replace the earlier value, keeping its place.
  static DictPtr make(Context& context, std::vector<std::pair<Value, Value>> entries);

  const std::vector<std::pair<Value, Value>>& entries() const { return entries_; }
  const Value* find(std::string_view key) const;
  const Value* find(Context& context, const Value& key) const;
  int depth() const { return depth_; }

 private:
  std::vector<std::pair<Value, Value>> entries_;
  std::unordered_map<std::string_view, std::size_t> by_name_;  // views of the keys' own bytes
  int depth_ = 1;
};

struct Namespace {
  std::unordered_map<std::string, Value> attributes;
};

/// The `loop` variable of one iteration.
struct Loop {
  ListPtr items;
  std::size_t index0 = 0;
};

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string_view, Value>> named;
};

class Evaluator;

/// Anything that can be called: built-in functions, methods bound to their object, macros.
class Callable {
 public:
  virtual ~Callable() = default;
  virtual Value call(Evaluator& evaluator, Arguments& arguments) const = 0;
  virtual std::string_view name() const = 0;
  /// Nesting of what it holds.
  virtual int depth() const { return 1; }
};

Value make_text(Context& context, Text text);
/// Text written by the template or the engine.
Value make_literal(Context& context, std::string text);
Value make_list(Context& context, std::vector<Value> items, bool tuple = false);
/// Copies a JSON value; its strings and keys get the given mark.
Value from_json(Context& context, const nlohmann::ordered_json& json, bool trusted);

/// Python's ==. Charges one step per comparison, since shared parts may be met again and again.
bool equal(Context& context, const Value& a, const Value& b);
/// Python's <; fails for values without an order.
bool less(Context& context, const Value& a, const Value& b);
/// Booleans, integers and floats.
bool is_number(const Value& value);
/// Requires is_number.
double to_double(const Value& value);
/// Booleans and integers.
const Int* find_int(const Value& value, Int& storage);
/// The members of something iterable: items, keys, characters; nothing for undefined. Fails
/// otherwise.
ListPtr iterate(Context& context, const Value& value);

}  // namespace foretoken::chat::jinja
