// Marked text of the template engine as the segments that leave this library.
#pragma once

#include <vector>

#include "chat/chat_template.h"
#include "chat/jinja/text.h"

namespace foretoken::chat {

std::vector<Segment> to_segments(const jinja::Text& text);

}  // namespace foretoken::chat
