// See tool_arguments.h.
#include "chat/tool_arguments.h"

#include <cctype>
#include <optional>

#include "chat/json_text.h"

namespace foretoken::chat {
namespace {

using Json = nlohmann::ordered_json;

// Schemas are small; these bounds only stop reference cycles and hostile nesting.
constexpr int kMaxSchemaVisits = 256;
constexpr int kMaxSchemaDepth = 32;
constexpr int kMaxValueDepth = 128;

const Json* find_member(const Json& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(std::string(key));
  return found == object.end() ? nullptr : &*found;
}

class SchemaReader {
 public:
  explicit SchemaReader(const Json& root) : root_(root) {}

  void read(const Json& schema, int depth = 0) {
    if (++visits_ > kMaxSchemaVisits || depth > kMaxSchemaDepth || !schema.is_object()) return;
    if (const Json* type = find_member(schema, "type")) read_type(*type);
    if (const Json* value = find_member(schema, "const")) read_value(*value);
    if (const Json* values = find_member(schema, "enum"); values && values->is_array()) {
      for (const Json& value : *values) read_value(value);
    }
    for (const char* key : {"anyOf", "oneOf", "allOf"}) {
      const Json* options = find_member(schema, key);
      if (options == nullptr || !options->is_array()) continue;
      for (const Json& option : *options) read(option, depth + 1);
    }
    if (const Json* reference = find_member(schema, "$ref")) {
      if (const Json* target = find_reference(*reference)) read(*target, depth + 1);
    }
  }
  ArgumentTypes types;

 private:
  void read_type(const Json& type) {
    if (type.is_array()) {
      for (const Json& one : type) {
        if (one.is_string()) read_type(one);
      }
    }
    if (!type.is_string()) return;
    const auto& name = type.get_ref<const std::string&>();
    if (name == "string") types.string = true;
    if (name == "integer" || name == "number") types.number = true;
    if (name == "boolean") types.boolean = true;
    if (name == "null") types.null = true;
    if (name == "object") types.object = true;
    if (name == "array") types.array = true;
  }

  void read_value(const Json& value) {
    types.string |= value.is_string();
    types.number |= value.is_number();
    types.boolean |= value.is_boolean();
    types.null |= value.is_null();
    types.object |= value.is_object();
    types.array |= value.is_array();
  }

  /// "#/$defs/City", looked up step by step from the parameters' schema.
  const Json* find_reference(const Json& reference) const {
    if (!reference.is_string()) return nullptr;
    std::string_view path = reference.get_ref<const std::string&>();
    if (!path.starts_with("#/")) return nullptr;
    path.remove_prefix(2);
    const Json* at = &root_;
    while (at != nullptr) {
      const std::size_t slash = path.find('/');
      at = find_member(*at, path.substr(0, slash));
      if (slash == std::string_view::npos) return at;
      path.remove_prefix(slash + 1);
    }
    return nullptr;
  }

  const Json& root_;
  int visits_ = 0;
};

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

bool is_json_number(std::string_view text) {
  const bool starts = !text.empty() && (text[0] == '-' || (text[0] >= '0' && text[0] <= '9'));
  return starts && is_json(text, 1);
}

/// Python's spelling of a literal as JSON: True, False, None and single quotes.
std::string from_python_literal(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (c == '\'' || c == '"') {
      out.push_back('"');
      for (++i; i < text.size() && text[i] != c; ++i) {
        if (text[i] == '\\' && i + 1 < text.size()) {
          const char escaped = text[++i];
          if (escaped != '\'') out.push_back('\\');
          out.push_back(escaped);
        } else if (text[i] == '"') {
          out += "\\\"";
        } else {
          append_json_escaped(out, text.substr(i, 1));
        }
      }
      out.push_back('"');
      ++i;
    } else if (std::isalpha(static_cast<unsigned char>(c)) != 0) {
      const std::size_t begin = i;
      while (i < text.size() && std::isalnum(static_cast<unsigned char>(text[i])) != 0) ++i;
      const std::string_view word = text.substr(begin, i - begin);
      out += word == "True" ? "true" : word == "False" ? "false" : word == "None" ? "null" : word;
    } else {
      out.push_back(c);
      ++i;
    }
  }
  return out;
}

std::optional<std::string> container_to_json(const ArgumentTypes& types, std::string_view text) {
  const bool fits = !text.empty() &&
                    ((types.object && text.front() == '{') || (types.array && text.front() == '['));
  if (!fits) return std::nullopt;
  if (is_json(text, kMaxValueDepth)) return std::string(text);
  std::string converted = from_python_literal(text);
  if (is_json(converted, kMaxValueDepth)) return converted;
  return std::nullopt;
}

}  // namespace

ArgumentTypes find_argument_types(const Json& tools, std::string_view function,
                                  std::string_view parameter) {
  if (!tools.is_array()) return {};
  for (const Json& tool : tools) {
    const Json* declaration = find_member(tool, "function");
    if (declaration == nullptr) declaration = &tool;
    const Json* name = find_member(*declaration, "name");
    if (name == nullptr || !name->is_string() || name->get_ref<const std::string&>() != function) {
      continue;
    }
    const Json* parameters = find_member(*declaration, "parameters");
    if (parameters == nullptr) return {};
    const Json* properties = find_member(*parameters, "properties");
    const Json* schema = properties == nullptr ? nullptr : find_member(*properties, parameter);
    if (schema == nullptr) return {};
    SchemaReader reader(*parameters);
    reader.read(*schema);
    return reader.types;
  }
  return {};
}

std::string argument_to_json(const ArgumentTypes& types, std::string_view value) {
  const std::string_view text = trimmed(value);
  if (types.null && (text == "null" || text == "None")) return "null";
  if (types.boolean) {
    if (text == "true" || text == "True") return "true";
    if (text == "false" || text == "False") return "false";
    if (!types.number && !types.string && (text == "1" || text == "0")) {
      return text == "1" ? "true" : "false";
    }
  }
  if (types.number && is_json_number(text)) return std::string(text);
  if (auto container = container_to_json(types, text)) return *std::move(container);
  std::string quoted = "\"";
  append_json_escaped(quoted, value);
  return quoted + "\"";
}

void append_json_escaped(std::string& out, std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      default: {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20) {
          out += "\\u00";
          out.push_back(kHex[byte >> 4]);
          out.push_back(kHex[byte & 15]);
        } else {
          out.push_back(c);
        }
      }
    }
  }
}

}  // namespace foretoken::chat
