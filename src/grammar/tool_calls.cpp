// See tool_calls.h.
#include "grammar/tool_calls.h"

#include <fmt/format.h>

#include <set>

#include "base/error.h"
#include "grammar/json_schema.h"

namespace foretoken::grammar {
namespace {

constexpr std::size_t kMaxTools = 1024;
constexpr std::size_t kMaxParameters = 1024;
constexpr std::uint32_t kMaxName = 256;  // the reply parser takes no longer ones

/// Whether a name can stand in a tag.
bool fits_tag(std::string_view name) {
  return !name.empty() && name.size() <= kMaxName &&
         name.find_first_of("<>\n") == std::string_view::npos;
}

class ToolCalls {
 public:
  ToolCalls(Rules& rules, const tokenizer::Tokenizer& tokenizer)
      : rules_(rules), tokenizer_(tokenizer) {}

  ExprId make(const Json& tools, const ToolCallOptions& options) {
    if (!tools.is_array() || tools.empty()) {
      throw RequestError("Field 'tools': expected a list of functions");
    }
    if (tools.size() > kMaxTools) {
      throw RequestError(
          fmt::format("Field 'tools': {} functions; the limit is {}", tools.size(), kMaxTools));
    }
    std::vector<ExprId> functions;
    for (std::size_t i = 0; i < tools.size(); ++i) {
      const std::string path = fmt::format("tools[{}].function", i);
      const Json& function = function_of(tools[i], path);
      const auto name = function["name"].get<std::string>();
      if (!options.only.empty() && name != options.only) continue;
      functions.push_back(
          rules_.sequence({rules_.literal(name + ">\n"), parameters(function, path)}));
    }
    if (functions.empty()) {
      throw RequestError(fmt::format(
          "Field 'tool_choice': there is no function \"{}\" among the tools", options.only));
    }
    const ExprId newline = rules_.literal("\n");
    const RuleId call = rules_.declare_new("call");
    rules_.define(
        call,
        rules_.sequence({rules_.literal("\n<function="), rules_.choice(std::move(functions)),
                         rules_.literal("</function>\n"), tag(rules_, tokenizer_, kCloseCall)}));
    std::vector<ExprId> calls = {rules_.rule(call)};
    if (options.parallel) {
      calls.push_back(rules_.star(
          rules_.sequence({newline, tag(rules_, tokenizer_, kOpenCall), rules_.rule(call)})));
    }
    calls.push_back(rules_.optional(newline));
    return rules_.sequence(std::move(calls));
  }

 private:
  static const Json& function_of(const Json& tool, const std::string& path) {
    const Json* inner = find_member(tool, "function");
    const Json& function = inner != nullptr ? *inner : tool;
    const Json* name = find_member(function, "name");
    if (name == nullptr || !name->is_string()) {
      throw RequestError(fmt::format("Field '{}.name': expected a string", path));
    }
    if (!fits_tag(name->get_ref<const std::string&>())) {
      throw RequestError(fmt::format(
          "Field '{}.name': expected 1 to {} bytes without <, > and line breaks", path, kMaxName));
    }
    return function;
  }

  /// Everything between a function's name and its closing tag.
  ExprId parameters(const Json& function, const std::string& path) {
    static const Json kNone = Json::object();
    const Json* schema = find_member(function, "parameters");
    if (schema == nullptr || !schema->is_object()) schema = &kNone;
    const Json* properties = find_member(*schema, "properties");
    const bool declares = properties != nullptr && properties->is_object() && !properties->empty();
    if (!declares) {
      const Json* additional = find_member(*schema, "additionalProperties");
      return additional != nullptr && *additional == false ? rules_.literal("") : any_parameters();
    }
    if (properties->size() > kMaxParameters) {
      throw RequestError(fmt::format("Field '{}.parameters': {} parameters; the limit is {}", path,
                                     properties->size(), kMaxParameters));
    }
    std::set<std::string> required_names;
    if (const Json* names = find_member(*schema, "required"); names && names->is_array()) {
      for (const Json& name : *names) {
        if (name.is_string()) required_names.insert(name.get<std::string>());
      }
    }
    const bool convertible = is_convertible(*schema, path);
    std::vector<ExprId> items;
    std::vector<bool> required;
    for (const auto& [name, value] : properties->items()) {
      const bool is_required = required_names.contains(name);
      if (!fits_tag(name)) {
        if (!is_required) continue;  // it is simply never given
        throw RequestError(fmt::format(
            "Field '{}.parameters.properties': the required parameter \"{}\" has a name that tool "
            "calls cannot carry; expected 1 to {} bytes without <, > and line breaks",
            path, name.substr(0, 100), kMaxName));
      }
      items.push_back(parameter(name, convertible ? value : Json(true), *schema, path));
      required.push_back(is_required);
    }
    return items.empty() ? rules_.literal("")
                         : rules_.any_order(std::move(items), std::move(required));
  }

  /// False for schemas too large to work with: they restrict nothing.
  static bool is_convertible(const Json& schema, const std::string& path) {
    try {
      check_schema_size(schema, path);
      return true;
    } catch (const RequestError&) {
      return false;
    }
  }

  ExprId parameter(const std::string& name, const Json& value, const Json& root,
                   const std::string& path) {
    const ExprId open = rules_.literal(fmt::format("<parameter={}>\n", name));
    const auto text = restricted_text(value, root, path);
    if (!text) return rules_.sequence({open, free_text(), rules_.literal("\n")});
    return rules_.sequence({open, *text, rules_.literal(std::string(kEndOfArgument) + "\n")});
  }

  std::optional<ExprId> restricted_text(const Json& value, const Json& root,
                                        const std::string& path) {
    // Tools come from many hands; a schema that makes no sense to us makes sense to somebody.
    const Rules::Mark before = rules_.mark();
    try {
      SchemaConverter converter(rules_, root, budget_, path + ".parameters");
      return converter.plain_value(value, path + ".parameters");
    } catch (const RequestError&) {
      rules_.rewind(before);
      return std::nullopt;
    }
  }

  /// Any text to the end of a value. The line break in front of it counts as the one that the end
  /// begins with, so that an empty value needs no empty line.
  ExprId free_text() { return rules_.until(std::string(kEndOfArgument), 1); }

  ExprId any_parameters() {
    const ExprId name = rules_.repeat(
        rules_.char_class(complement(normalized({{'<', '<'}, {'>', '>'}, {'\n', '\n'}}))), 1, 64);
    return rules_.star(rules_.sequence({rules_.literal("<parameter="), name, rules_.literal(">\n"),
                                        free_text(), rules_.literal("\n")}));
  }

  Rules& rules_;
  const tokenizer::Tokenizer& tokenizer_;
  SchemaBudget budget_;
};

}  // namespace

ExprId tool_calls(Rules& rules, const nlohmann::ordered_json& tools,
                  const tokenizer::Tokenizer& tokenizer, const ToolCallOptions& options) {
  return ToolCalls(rules, tokenizer).make(tools, options);
}

ExprId tag(Rules& rules, const tokenizer::Tokenizer& tokenizer, std::string_view text) {
  const ExprId spelled = rules.literal(std::string(text));
  const auto id = tokenizer.find_special(text);
  if (!id || tokenizer.kind(*id) != tokenizer::TokenKind::Control) return spelled;
  return rules.choice({rules.token(*id, false), spelled});
}

}  // namespace foretoken::grammar
