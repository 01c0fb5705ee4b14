// See segments.h.
#include "chat/segments.h"

namespace foretoken::chat {

std::vector<Segment> to_segments(const jinja::Text& text) {
  std::vector<Segment> segments;
  std::size_t begin = 0;
  for (const jinja::Text::Run& run : text.runs()) {
    segments.push_back({text.bytes().substr(begin, run.end - begin), run.trusted});
    begin = run.end;
  }
  return segments;
}

std::string join(std::span<const Segment> segments) {
  std::string text;
  for (const Segment& segment : segments) text += segment.text;
  return text;
}

}  // namespace foretoken::chat
