// Objects of a JSON schema: members in the order of their declaration, optional ones left out or
// not. See json_schema.h.
#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "grammar/json_schema.h"

namespace foretoken::grammar {
namespace {

struct Member {
  std::string name;
  const Json* schema = nullptr;  // null: any value
  bool required = false;
};

[[noreturn]] void refuse(const std::string& path, const std::string& what) {
  throw RequestError(fmt::format("JSON schema, {}: {}", path, what));
}

/// Declared members, then those that are only required.
std::vector<Member> members_of(const Json& schema, const std::string& path) {
  std::vector<Member> members;
  const Json* properties = find_member(schema, "properties");
  if (properties != nullptr && !properties->is_object()) {
    refuse(path + "/properties", "expected an object");
  }
  if (properties != nullptr) {
    for (const auto& [name, value] : properties->items()) members.push_back({name, &value, false});
  }
  const Json* required = find_member(schema, "required");
  if (required == nullptr || !required->is_array()) return members;
  std::unordered_map<std::string, std::size_t> index;
  for (std::size_t i = 0; i < members.size(); ++i) index.emplace(members[i].name, i);
  for (const Json& name : *required) {
    if (!name.is_string()) continue;
    const auto [found, is_new] = index.try_emplace(name.get<std::string>(), members.size());
    if (is_new) members.push_back({name.get<std::string>(), nullptr, false});
    members[found->second].required = true;
  }
  return members;
}

}  // namespace

ExprId SchemaConverter::convert_object(const Json& schema, Path path) {
  std::vector<Member> members = members_of(schema, path);
  const Json* properties = find_member(schema, "properties");
  const Json* additional = find_member(schema, "additionalProperties");
  if (additional != nullptr && !additional->is_boolean() && !additional->is_object()) {
    refuse(path + "/additionalProperties", "expected true, false or a schema");
  }
  const bool declares = properties != nullptr && !properties->empty();
  const bool closed = additional != nullptr ? *additional == false : declares;
  if (closed) std::erase_if(members, [](const Member& member) { return member.schema == nullptr; });
  if (members.empty() && !closed && (additional == nullptr || *additional == true)) {
    return named("object");
  }
  budget_.spend(members.size() + 1, path);

  const ExprId comma = rules_.sequence({rules_.literal(","), named("space")});
  const ExprId colon = rules_.sequence({named("space"), rules_.literal(":"), named("space")});
  const auto value_of = [&](const Json* value, const std::string& value_path) {
    return value == nullptr ? named("value") : json_value(*value, value_path);
  };
  // Rules are made from the last member to the first: `first` for what may follow while nothing has
  // been written, `next` behind a member.
  ExprId first = rules_.literal("");
  ExprId next = first;
  if (!closed) {
    std::vector<std::string> names;
    for (const Member& member : members) names.push_back(member.name);
    const ExprId key = names.empty() ? named("string") : string_other_than(rules_, names);
    const Json* free_value = additional == nullptr || *additional == true ? nullptr : additional;
    const RuleId member = rules_.declare_new("additional");
    rules_.define(member, rules_.sequence(
                              {key, colon, value_of(free_value, path + "/additionalProperties")}));
    next = rules_.star(rules_.sequence({comma, rules_.rule(member)}));
    first = rules_.optional(rules_.sequence({rules_.rule(member), next}));
  }
  for (std::size_t i = members.size(); i-- > 0;) {
    const Member& member = members[i];
    const RuleId text = rules_.declare_new("member");
    rules_.define(text,
                  rules_.sequence({constant(member.name), colon,
                                   value_of(member.schema, path + "/properties/" + member.name)}));
    const ExprId as_first = rules_.sequence({rules_.rule(text), next});
    const ExprId as_next = rules_.sequence({comma, rules_.rule(text), next});
    const RuleId first_rule = rules_.declare_new("first");
    const RuleId next_rule = rules_.declare_new("next");
    rules_.define(first_rule, member.required ? as_first : rules_.choice({as_first, first}));
    rules_.define(next_rule, member.required ? as_next : rules_.choice({as_next, next}));
    first = rules_.rule(first_rule);
    next = rules_.rule(next_rule);
  }
  return rules_.sequence(
      {rules_.literal("{"), named("space"), first, named("space"), rules_.literal("}")});
}

}  // namespace foretoken::grammar
