// See schema_merge.h.
#include "grammar/schema_merge.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace foretoken::grammar {
namespace {

constexpr std::size_t kMaxSchemaValues = 50'000;
constexpr int kMaxSchemaDepth = 100;
constexpr int kMaxReferences = 32;
constexpr std::size_t kMaxCombinations = 64;

/// Values in `json`, itself included; stops counting above the limit.
std::size_t count_values(const Json& json, int& depth) {
  std::vector<std::pair<const Json*, int>> work = {{&json, 1}};
  std::size_t n = 0;
  while (!work.empty() && n <= kMaxSchemaValues) {
    const auto [at, level] = work.back();
    work.pop_back();
    ++n;
    depth = std::max(depth, level);
    if (level > kMaxSchemaDepth) break;
    if (!at->is_structured()) continue;
    n += at->size() > kMaxSchemaValues ? at->size() : 0;  // do not even list them
    if (n > kMaxSchemaValues) break;
    for (const Json& child : *at) work.emplace_back(&child, level + 1);
  }
  return n;
}

std::size_t size_of(const Json& json) {
  int depth = 0;
  return count_values(json, depth);
}

/// "a~1b" means the member "a/b" (RFC 6901), "%24" a dollar sign (a fragment of a URI).
std::string unescaped(std::string_view part) {
  std::string out;
  const auto hex = [](char c) {
    const std::string_view digits = "0123456789abcdef";
    return digits.find(c >= 'A' && c <= 'F' ? static_cast<char>(c + 32) : c);
  };
  for (std::size_t i = 0; i < part.size(); ++i) {
    if (part[i] == '~' && i + 1 < part.size() && (part[i + 1] == '0' || part[i + 1] == '1')) {
      out += part[++i] == '0' ? '~' : '/';
    } else if (part[i] == '%' && i + 2 < part.size() && hex(part[i + 1]) < 16 &&
               hex(part[i + 2]) < 16) {
      out += static_cast<char>(hex(part[i + 1]) * 16 + hex(part[i + 2]));
      i += 2;
    } else {
      out += part[i];
    }
  }
  return out;
}

const Json* step_into(const Json& at, const std::string& key) {
  if (at.is_object()) return find_member(at, key.c_str());
  const bool number =
      !key.empty() && key.size() < 7 && key.find_first_not_of("0123456789") == std::string::npos;
  if (!at.is_array() || !number) return nullptr;
  const std::size_t index = std::stoul(key);
  return index < at.size() ? &at[index] : nullptr;
}

/// Keywords that say something about values, so that a schema beside a choice matters.
bool restricts(const Json& schema) {
  static constexpr std::array kKeywords = {"$ref",
                                           "allOf",
                                           "type",
                                           "properties",
                                           "required",
                                           "items",
                                           "minItems",
                                           "maxItems",
                                           "minimum",
                                           "maximum",
                                           "exclusiveMinimum",
                                           "exclusiveMaximum",
                                           "minLength",
                                           "enum",
                                           "maxLength",
                                           "pattern",
                                           "format",
                                           "additionalProperties",
                                           "const",
                                           "anyOf",
                                           "prefixItems"};
  return std::ranges::any_of(kKeywords, [&](const char* key) { return schema.contains(key); });
}

[[noreturn]] void refuse_contradiction(const std::string& key, const std::string& path) {
  throw SchemaContradiction(fmt::format(
      "JSON schema, {}: the parts of allOf contradict each other in \"{}\"", path, key));
}

Json list_of(const Json& value) { return value.is_array() ? value : Json::array({value}); }

bool contains(const Json& list, const Json& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

/// Types both name; "integer" is a kind of "number".
Json common_types(const Json& a, const Json& b) {
  const Json first = list_of(a);
  const Json second = list_of(b);
  Json both = Json::array();
  for (const Json& type : first) {
    if (contains(second, type) || (type == "integer" && contains(second, "number"))) {
      both.push_back(type);
    } else if (type == "number" && contains(second, "integer")) {
      both.push_back("integer");
    }
  }
  return both;
}

}  // namespace

const Json* find_member(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

void SchemaBudget::spend(std::size_t n, const std::string& path) {
  if (n > left_) {
    throw RequestError(
        fmt::format("JSON schema, {}: the schema unfolds into too many parts; simplify it", path));
  }
  left_ -= n;
}

void check_schema_size(const Json& schema, const std::string& path) {
  int depth = 0;
  const std::size_t n = count_values(schema, depth);
  if (depth > kMaxSchemaDepth) {
    throw RequestError(
        fmt::format("JSON schema, {}: nested deeper than {} levels", path, kMaxSchemaDepth));
  }
  if (n > kMaxSchemaValues) {
    throw RequestError(fmt::format("JSON schema, {}: more than {} values", path, kMaxSchemaValues));
  }
}

const Json& SchemaMerger::resolve(const Json& reference, const std::string& path) const {
  const std::string* text = reference.get_ptr<const std::string*>();
  if (text == nullptr) throw RequestError(fmt::format("JSON schema, {}: not a string", path));
  if (*text == "#") return root_;
  if (!text->starts_with("#/")) {
    throw RequestError(fmt::format(
        "JSON schema, {}: \"{}\" refers outside the schema; only references that begin with #/ "
        "are followed",
        path, text->substr(0, 200)));
  }
  const Json* at = &root_;
  std::string_view rest = std::string_view(*text).substr(2);
  while (true) {
    const std::size_t slash = rest.find('/');
    at = step_into(*at, unescaped(rest.substr(0, slash)));
    if (at == nullptr) {
      throw RequestError(
          fmt::format("JSON schema, {}: there is nothing at \"{}\"", path, text->substr(0, 200)));
    }
    if (slash == std::string_view::npos) return *at;
    rest.remove_prefix(slash + 1);
  }
}

/// A copy whose $ref is replaced by what it names.
Json SchemaMerger::without_reference(const Json& schema, const std::string& path, int depth) {
  const Json* reference = find_member(schema, "$ref");
  if (reference == nullptr) return schema;
  if (depth > kMaxReferences) {
    throw RequestError(fmt::format("JSON schema, {}: references that lead in a circle", path));
  }
  const Json& target = resolve(*reference, path + "/$ref");
  budget_.spend(size_of(target), path);
  return without_reference(target, path, depth + 1);
}

Json SchemaMerger::merged(const Json& a, const Json& b, const std::string& path, int depth) {
  Json result = without_reference(a, path, depth);
  const Json other = without_reference(b, path, depth);
  if (other == true) return result;
  if (result == true) return other;
  if (!result.is_object() || !other.is_object()) {
    throw RequestError(fmt::format("JSON schema, {}: expected an object, found {}", path,
                                   result.is_object() ? other.type_name() : result.type_name()));
  }
  for (const auto& [key, value] : other.items()) merge_member(result, key, value, path);
  budget_.spend(size_of(result), path);
  return result;
}

void SchemaMerger::merge_member(Json& into, const std::string& key, const Json& value,
                                const std::string& path) {
  if (!into.contains(key)) {
    const bool other_choice =
        (key == "anyOf" && into.contains("oneOf")) || (key == "oneOf" && into.contains("anyOf"));
    if (other_choice) return merge_choices(into, key == "anyOf" ? "oneOf" : "anyOf", value, path);
    into[key] = value;
    return;
  }
  Json& mine = into[key];
  static constexpr std::array kLower = {"minimum", "exclusiveMinimum", "minLength", "minItems"};
  static constexpr std::array kUpper = {"maximum", "exclusiveMaximum", "maxLength", "maxItems"};
  if (key == "properties" && mine.is_object() && value.is_object()) {
    for (const auto& [name, schema] : value.items()) {
      if (mine.contains(name) && mine[name] != schema) {
        mine[name] = Json::object({{"allOf", Json::array({mine[name], schema})}});
      } else {
        mine[name] = schema;
      }
    }
  } else if (key == "required" && mine.is_array() && value.is_array()) {
    budget_.spend(mine.size() * value.size() / 64, path);
    for (const Json& name : value) {
      if (!contains(mine, name)) mine.push_back(name);
    }
  } else if (key == "type") {
    mine = common_types(mine, value);
    if (mine.empty()) refuse_contradiction(key, path);
  } else if (std::ranges::find(kLower, key) != kLower.end() && value.is_number()) {
    if (mine < value) mine = value;
  } else if (std::ranges::find(kUpper, key) != kUpper.end() && value.is_number()) {
    if (value < mine) mine = value;
  } else if (key == "enum" && mine.is_array() && value.is_array()) {
    budget_.spend(mine.size() * value.size() / 64, path);
    Json both = Json::array();
    for (const Json& one : mine) {
      if (contains(value, one)) both.push_back(one);
    }
    if (both.empty()) refuse_contradiction(key, path);
    mine = std::move(both);
  } else if (key == "const") {
    if (mine != value) refuse_contradiction(key, path);
  } else if (key == "additionalProperties") {
    if (mine == true || value == false) mine = value;
  } else if (key == "allOf" && mine.is_array() && value.is_array()) {
    for (const Json& part : value) mine.push_back(part);
  } else if (key == "anyOf" || key == "oneOf") {
    merge_choices(into, key, value, path);
  }
  // Of everything else (pattern, format, items, annotations) the first stays.
}

/// Both have a choice: one of these together with one of those.
void SchemaMerger::merge_choices(Json& into, const std::string& key, const Json& value,
                                 const std::string& path) {
  const Json mine = into[key];
  if (!mine.is_array() || !value.is_array()) return;
  if (mine.size() * value.size() > kMaxCombinations) {
    throw RequestError(
        fmt::format("JSON schema, {}: {} times {} combinations of alternatives; the "
                    "limit is {}",
                    path, mine.size(), value.size(), kMaxCombinations));
  }
  Json combined = Json::array();
  for (const Json& a : mine) {
    for (const Json& b : value) {
      combined.push_back(Json::object({{"allOf", Json::array({a, b})}}));
    }
  }
  budget_.spend(size_of(combined), path);
  into.erase(key);
  into["anyOf"] = std::move(combined);
}

Json SchemaMerger::merged_all_of(const Json& schema, const std::string& path) {
  const Json parts = schema["allOf"];
  if (!parts.is_array() || parts.empty()) {
    throw RequestError(fmt::format("JSON schema, {}/allOf: expected a list of schemas", path));
  }
  Json result = schema;
  result.erase("allOf");
  budget_.spend(size_of(schema), path);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    result = merged(result, parts[i], fmt::format("{}/allOf/{}", path, i));
  }
  return result;
}

std::vector<SchemaMerger::Alternative> SchemaMerger::alternatives(const Json& schema,
                                                                  const char* key,
                                                                  const std::string& path) {
  const Json& choices = schema[key];
  if (!choices.is_array() || choices.empty()) {
    throw RequestError(fmt::format("JSON schema, {}/{}: expected a list of schemas", path, key));
  }
  Json rest = schema;
  rest.erase(key);
  budget_.spend(size_of(schema), path);
  const bool merge = restricts(rest);
  std::vector<Alternative> alternatives;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    const std::string here = fmt::format("{}/{}/{}", path, key, i);
    try {
      Json choice = merge ? merged(rest, choices[i], here) : choices[i];
      while (choice.is_object() && choice.contains("allOf") && !choice.contains("$ref")) {
        choice = merged_all_of(choice, here);
      }
      alternatives.push_back({std::move(choice), here});
    } catch (const SchemaContradiction&) {
      if (alternatives.empty() && i + 1 == choices.size()) throw;
    }
  }
  return alternatives;
}

}  // namespace foretoken::grammar
