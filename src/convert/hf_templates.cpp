#include "convert/hf_templates.h"

#include <algorithm>
#include <filesystem>

namespace foretoken::convert {
namespace {

namespace fs = std::filesystem;

constexpr const char* kDefault = "default";

std::vector<fs::path> additional_paths(const fs::path& folder) {
  std::vector<fs::path> paths;
  if (!fs::is_directory(folder)) return paths;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".jinja") paths.push_back(entry.path());
  }
  std::ranges::sort(paths);
  return paths;
}

std::vector<ChatTemplate> read_template_files(const fs::path& folder) {
  const fs::path jinja = folder / "chat_template.jinja";
  if (fs::exists(jinja)) {
    std::vector<ChatTemplate> out{{kDefault, read_text_file(jinja.string())}};
    for (const fs::path& path : additional_paths(folder / "additional_chat_templates")) {
      out.push_back({path.stem().string(), read_text_file(path.string())});
    }
    return out;
  }
  const std::string json = (folder / "chat_template.json").string();
  if (!fs::exists(json)) return {};
  const auto document = read_json_object(json);
  const JsonNode text = JsonNode(document, json).get("chat_template");
  if (text.is_null()) return {};
  return {{kDefault, text.require_string()}};
}

/// Letters and digits stay, everything else becomes '_'.
std::string key_name(std::string_view name) {
  std::string out(name);
  for (char& c : out) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!plain) c = '_';
  }
  return out;
}

}  // namespace

std::vector<ChatTemplate> read_chat_templates(const std::string& folder, const JsonNode& settings) {
  const JsonNode node = settings.get("chat_template");
  if (node.is_null()) return read_template_files(folder);
  if (node.value().is_string()) return {{kDefault, node.require_string()}};
  std::vector<ChatTemplate> out;
  for (std::size_t i = 0; i < node.size(); ++i) {
    const JsonNode entry = node.at(i);
    out.push_back({entry.get("name").require_string(), entry.get("template").require_string()});
  }
  return out;
}

void write_chat_templates(const std::vector<ChatTemplate>& templates, gguf::Writer& keys) {
  std::vector<std::string> names;
  std::string_view default_text;
  for (const ChatTemplate& choice : templates) {
    if (choice.name == kDefault) {
      default_text = choice.text;
    } else if (!choice.name.empty() && !choice.text.empty()) {
      names.push_back(key_name(choice.name));
      keys.set_string("tokenizer.chat_template." + names.back(), choice.text);
    }
  }
  if (!names.empty()) {
    const std::vector<std::string_view> views(names.begin(), names.end());
    keys.set_string_array("tokenizer.chat_templates", views);
  }
  if (!default_text.empty()) keys.set_string("tokenizer.chat_template", default_text);
}

}  // namespace foretoken::convert
