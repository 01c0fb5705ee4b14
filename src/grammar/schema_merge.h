// JSON Schema's ways of combining schemas (allOf, a schema beside its anyOf, $ref), worked out on
// the JSON itself, so that the converter only ever sees one plain schema at a time.
// Source: JSON Schema 2020-12, core 10.2; docs/grammar.md, "JSON schemas".
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/error.h"

namespace foretoken::grammar {

using Json = nlohmann::ordered_json;

/// Counts what has been looked at or copied, over a whole conversion. Schemas can refer to each
/// other and multiply; work cannot.
class SchemaBudget {
 public:
  /// Throws RequestError, naming `path`, when it is used up.
  void spend(std::size_t n, const std::string& path);

 private:
  std::size_t left_ = 200'000;
};

/// Throws RequestError unless the schema is small and shallow enough to work with.
void check_schema_size(const Json& schema, const std::string& path);

/// Two schemas that have no value in common.
class SchemaContradiction : public RequestError {
 public:
  using RequestError::RequestError;
};

/// Schemas of one document.
class SchemaMerger {
 public:
  /// Both are borrowed. `root` is what "#" means.
  SchemaMerger(const Json& root, SchemaBudget& budget) : root_(root), budget_(budget) {}

  /// The schema that a local reference ("#", "#/$defs/a~1b") names. Throws RequestError, naming
  /// `path`, for remote ones and where there is nothing.
  const Json& resolve(const Json& reference, const std::string& path) const;

  /// A schema for what both describe. Throws SchemaContradiction.
  Json merged(const Json& a, const Json& b, const std::string& path, int depth = 0);

  /// `schema` without its allOf, merged into one. Needs that key.
  Json merged_all_of(const Json& schema, const std::string& path);

  struct Alternative {
    Json schema;
    std::string path;
  };
  /// The alternatives under `key` (anyOf, oneOf), each together with what stands beside them. Those
  /// that contradict it are left out; throws when that leaves none.
  std::vector<Alternative> alternatives(const Json& schema, const char* key,
                                        const std::string& path);

 private:
  Json without_reference(const Json& schema, const std::string& path, int depth);
  void merge_member(Json& into, const std::string& key, const Json& value, const std::string& path);
  void merge_choices(Json& into, const std::string& key, const Json& value,
                     const std::string& path);

  const Json& root_;
  SchemaBudget& budget_;
};

/// The member `key`, or null.
const Json* find_member(const Json& object, const char* key);

}  // namespace foretoken::grammar
