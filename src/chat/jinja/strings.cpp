// See strings.h.
#include "chat/jinja/strings.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "chat/jinja/text_builder.h"

namespace foretoken::chat::jinja {
namespace {

class Pieces {
 public:
  Pieces(Context& context, const Text& text) : context_(context), text_(text) {}
  void add(std::size_t begin, std::size_t end) {
    context_.charge_steps();
    items_.push_back(make_text(context_, text_.slice(begin, end)));
  }
  Value list(bool reversed = false) {
    if (reversed) std::reverse(items_.begin(), items_.end());
    return make_list(context_, std::move(items_));
  }

 private:
  Context& context_;
  const Text& text_;
  std::vector<Value> items_;
};

Value split_at(Context& context, const Text& text, const Text& separator, Int max_splits) {
  const std::string& bytes = text.bytes();
  Pieces pieces(context, text);
  std::size_t begin = 0;
  for (Int n = 0; max_splits < 0 || n < max_splits; ++n) {
    const std::size_t at = bytes.find(separator.bytes(), begin);
    if (at == std::string::npos) break;
    pieces.add(begin, at);
    begin = at + separator.size();
  }
  pieces.add(begin, bytes.size());
  return pieces.list();
}

Value split_at_from_right(Context& context, const Text& text, const Text& separator,
                          Int max_splits) {
  const std::string& bytes = text.bytes();
  Pieces pieces(context, text);
  std::size_t end = bytes.size();
  for (Int n = 0; max_splits < 0 || n < max_splits; ++n) {
    if (end < separator.size()) break;
    const std::size_t at = bytes.rfind(separator.bytes(), end - separator.size());
    if (at == std::string::npos) break;
    pieces.add(at + separator.size(), end);
    end = at;
  }
  pieces.add(0, end);
  return pieces.list(true);
}

bool space_at(std::string_view bytes, std::size_t at) {
  const CodePoint point = decode(bytes, at);
  return point.valid && is_space(point.value);
}

Value split_words(Context& context, const Text& text, Int max_splits) {
  const std::string_view bytes = text.bytes();
  Pieces pieces(context, text);
  std::size_t at = 0;
  for (Int n = 0;; ++n) {
    while (at < bytes.size() && space_at(bytes, at)) at += decode(bytes, at).size;
    if (at >= bytes.size()) return pieces.list();
    if (max_splits >= 0 && n >= max_splits) {
      pieces.add(at, bytes.size());  // Python leaves the far end as it is
      return pieces.list();
    }
    const std::size_t begin = at;
    while (at < bytes.size() && !space_at(bytes, at)) at += decode(bytes, at).size;
    pieces.add(begin, at);
  }
}

Value split_words_from_right(Context& context, const Text& text, Int max_splits) {
  const std::string_view bytes = text.bytes();
  Pieces pieces(context, text);
  std::size_t end = bytes.size();
  for (Int n = 0;; ++n) {
    while (end > 0 && space_at(bytes, previous_start(bytes, end))) end = previous_start(bytes, end);
    if (end == 0) return pieces.list(true);
    if (max_splits >= 0 && n >= max_splits) {
      pieces.add(0, end);
      return pieces.list(true);
    }
    const std::size_t stop = end;
    while (end > 0 && !space_at(bytes, previous_start(bytes, end)))
      end = previous_start(bytes, end);
    pieces.add(end, stop);
  }
}

}  // namespace

Value trim(Context& context, const Text& text, Ends ends, const Text* set) {
  // Every byte may be compared with every member of the set.
  context.charge_scan(text.size() * (1 + (set == nullptr ? 0 : set->size())));
  const Range range =
      trim_range(text.bytes(), ends, set == nullptr ? "" : set->bytes(), set == nullptr);
  return make_text(context, text.slice(range.begin, range.end));
}

Value replace(Context& context, const Text& text, const Text& old, const Text& with, Int count) {
  const std::string& bytes = text.bytes();
  TextBuilder out(context);
  std::size_t begin = 0;
  for (Int n = 0; count < 0 || n < count; ++n) {
    std::size_t at = bytes.find(old.bytes(), begin);
    if (old.empty() && n > 0) {  // behind the next character, if there is one
      at = begin < bytes.size() ? begin + decode(bytes, begin).size : std::string::npos;
    }
    if (at == std::string::npos) break;
    out.append(text, begin, at);
    out.append(with);
    begin = at + old.size();
  }
  out.append(text, begin, bytes.size());
  return make_text(context, out.take());
}

Value split(Context& context, const Text& text, const Text* separator, Int max_splits,
            bool from_right) {
  context.charge_scan(text.size());
  if (separator == nullptr) {
    return from_right ? split_words_from_right(context, text, max_splits)
                      : split_words(context, text, max_splits);
  }
  if (separator->empty()) context.fail("the separator to split at is empty");
  return from_right ? split_at_from_right(context, text, *separator, max_splits)
                    : split_at(context, text, *separator, max_splits);
}

Value split_lines(Context& context, const Text& text) {
  const std::string& bytes = text.bytes();
  Pieces pieces(context, text);
  std::size_t begin = 0;
  while (begin < bytes.size()) {
    std::size_t end = bytes.find_first_of("\r\n", begin);
    if (end == std::string::npos) end = bytes.size();
    pieces.add(begin, end);
    begin = end + (bytes.compare(end, 2, "\r\n") == 0 ? 2 : 1);
  }
  return pieces.list();
}

Value map_characters(Context& context, const Text& text,
                     const std::function<char32_t(char32_t, char32_t)>& function) {
  const std::string& bytes = text.bytes();
  TextBuilder out(context);
  char32_t previous = 0;
  std::string encoded;
  for (std::size_t at = 0; at < bytes.size();) {
    const CodePoint point = decode(bytes, at);
    if (point.valid) {
      encoded.clear();
      encode(function(previous, point.value), encoded);
      out.append(encoded, text.trusted_at(at));
    } else {
      out.append(text, at, at + point.size);
    }
    previous = point.value;
    at += point.size;
  }
  return make_text(context, out.take());
}

Value upper_case(Context& context, const Text& text) {
  return map_characters(context, text, [](char32_t, char32_t c) { return to_upper(c); });
}

Value lower_case(Context& context, const Text& text) {
  return map_characters(context, text, [](char32_t, char32_t c) { return to_lower(c); });
}

Value capitalise(Context& context, const Text& text) {
  bool first = true;
  return map_characters(context, text, [&](char32_t, char32_t c) {
    return std::exchange(first, false) ? to_upper(c) : to_lower(c);
  });
}

Value title_case(Context& context, const Text& text, bool (*starts_word)(char32_t)) {
  bool first = true;
  return map_characters(context, text, [&](char32_t previous, char32_t c) {
    return std::exchange(first, false) || starts_word(previous) ? to_upper(c) : to_lower(c);
  });
}

}  // namespace foretoken::chat::jinja
