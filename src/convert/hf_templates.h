// The chat templates of a checkpoint, wherever it keeps them, and their keys in a model file.
// Source: docs/convert.md, "Tokenizer keys"; gguf-py/gguf/vocab.py and gguf_writer.py of llama.cpp
// de3ff815.
#pragma once

#include <string>
#include <vector>

#include "convert/json_node.h"
#include "gguf/writer.h"

namespace foretoken::convert {

struct ChatTemplate {
  std::string name;  ///< "default" for the one used unless another is asked for
  std::string text;
};

/// `settings` is tokenizer_config.json, which has the first word; then come chat_template.jinja
/// with additional_chat_templates/*.jinja, and chat_template.json. Empty when there is none. Throws
/// FormatError for members of a wrong type, IoError.
std::vector<ChatTemplate> read_chat_templates(const std::string& folder, const JsonNode& settings);

/// Sets tokenizer.chat_template, and for further ones tokenizer.chat_template.NAME and the list
/// tokenizer.chat_templates.
void write_chat_templates(const std::vector<ChatTemplate>& templates, gguf::Writer& keys);

}  // namespace foretoken::convert
