// The bytes of models/tiny/chat_template.jinja, embedded at build time (see
// cmake/chat_template.cmake), so that the template has one home.
#pragma once

#include <string_view>

namespace foretoken::chat {

extern const std::string_view kBuiltinTemplate;

}  // namespace foretoken::chat
