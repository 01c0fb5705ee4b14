// The block of YAML at the top of a model card (README.md), between two lines "---": licence, tags,
// languages, base models.
//
// Not a YAML parser: members at the top with a scalar, a list of scalars or a list of small maps,
// as model cards have them. Deeper structures (evaluation results) are skipped, and every scalar
// is text: a version 1.0 stays "1.0" and the language "no" stays a language.
// Source: docs/convert.md, "Model card"; huggingface/hub-docs, the model card's metadata; YAML 1.2.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

namespace foretoken::convert {

/// An object of strings, arrays of strings or of objects of strings, and nulls; empty when the text
/// does not open with front matter. Never throws for odd text: what is not understood is null.
nlohmann::ordered_json parse_front_matter(std::string_view readme);

}  // namespace foretoken::convert
