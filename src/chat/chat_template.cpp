// See chat_template.h.
#include "chat/chat_template.h"

#include <utility>

#include "chat/builtin_template.h"
#include "chat/jinja/program.h"
#include "chat/segments.h"

namespace foretoken::chat {
namespace {

using Json = nlohmann::ordered_json;

void require_object(const Json& value, const char* what) {
  if (value.is_null() || value.is_object()) return;
  throw RequestError(std::string("the ") + what + " must be a JSON object, not " +
                     value.type_name());
}

bool is_defined_here(const std::vector<jinja::Variable>& variables, const std::string& name) {
  for (const jinja::Variable& variable : variables) {
    if (variable.name == name) return true;
  }
  return false;
}

}  // namespace

struct ChatTemplate::Program {
  jinja::Program program;
};

ChatTemplate::ChatTemplate(std::string source)
    : source_(std::move(source)), program_(new Program{jinja::Program(source_)}) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

const std::string& ChatTemplate::builtin_source() {
  static const std::string kSource(kBuiltinTemplate);
  return kSource;
}

std::vector<Segment> ChatTemplate::render(const Json& messages,
                                          const RenderOptions& options) const {
  if (!messages.is_array()) {
    throw RequestError(std::string("the messages must be a JSON array, not ") +
                       messages.type_name());
  }
  if (!options.tools.is_null() && !options.tools.is_array()) {
    throw RequestError(std::string("the tools must be a JSON array, not ") +
                       options.tools.type_name());
  }
  require_object(options.extra, "extra template variables");
  require_object(options.special_tokens, "special tokens");
  const Json generation(options.add_generation_prompt);
  const Json thinking(options.enable_thinking.value_or(false));
  std::vector<jinja::Variable> variables = {{"messages", &messages, false},
                                            {"tools", &options.tools, false},
                                            {"add_generation_prompt", &generation, true}};
  if (options.enable_thinking) variables.push_back({"enable_thinking", &thinking, true});
  const std::size_t n_own = variables.size();
  for (const auto& [name, value] : options.special_tokens.items()) {
    variables.push_back({name, &value, true});
  }
  for (const auto& [name, value] : options.extra.items()) {
    if (is_defined_here({variables.begin(), variables.begin() + static_cast<long>(n_own)}, name)) {
      throw RequestError("the template variable '" + name +
                         "' is set by the program; remove it from the extra variables");
    }
    variables.push_back({name, &value, false});
  }
  return to_segments(program_->program.render(variables));
}

}  // namespace foretoken::chat
