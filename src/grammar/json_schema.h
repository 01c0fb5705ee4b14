// JSON schemas as rules: which texts are documents of a schema.
// What is kept of each keyword and what is let go: docs/grammar.md, "JSON schemas".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "grammar/json_rules.h"
#include "grammar/rules.h"
#include "grammar/schema_merge.h"

namespace foretoken::grammar {

/// Converts schemas of one document. Errors (RequestError) name the keyword by its path.
class SchemaConverter {
 public:
  /// `root` is what "#" means, `name` how its path begins in errors and names of rules. All are
  /// borrowed; `rules` has add_json_rules. Whoever converts parts of a document instead of all of
  /// it calls check_schema_size first.
  SchemaConverter(Rules& rules, const Json& root, SchemaBudget& budget, std::string name);

  /// The JSON texts of `schema`, which stands at `path`.
  ExprId json_value(const Json& schema, const std::string& path);
  /// The whole document.
  ExprId json_document();

  /// The texts of a tool's argument, as the family writes them: strings without quotes, everything
  /// else as JSON, and booleans and null also as Python spells them. Absent where any text will
  /// do: the schema allows free strings, or says nothing.
  std::optional<ExprId> plain_value(const Json& schema, const std::string& path);

 private:
  using Path = const std::string&;

  ExprId convert(const Json& schema, Path path);
  ExprId convert_reference(const Json& reference, Path path);
  ExprId convert_choice(const Json& schema, const char* key, Path path);
  ExprId convert_types(const Json& schema, Path path);
  ExprId convert_typed(const Json& schema, std::string_view type, Path path);
  ExprId convert_object(const Json& schema, Path path);
  ExprId convert_array(const Json& schema, Path path);
  ExprId convert_string(const Json& schema, Path path);
  ExprId convert_integer(const Json& schema, Path path);
  std::optional<ExprId> format_text(const Json& schema);
  bool add_plain(const Json& schema, Path path, int depth, std::vector<ExprId>& options);
  bool add_plain_typed(const Json& schema, std::string_view type, Path path,
                       std::vector<ExprId>& options);
  bool add_plain_constant(const Json& value, std::vector<ExprId>& options);

  ExprId named(std::string_view rule) { return rules_.rule(rules_.declare(rule)); }
  ExprId constant(const Json& value);

  Rules& rules_;
  const Json& root_;
  SchemaBudget& budget_;
  SchemaMerger merger_;
  std::string name_;
  int depth_ = 0;
  std::unordered_map<const Json*, RuleId> references_;
};

}  // namespace foretoken::grammar
