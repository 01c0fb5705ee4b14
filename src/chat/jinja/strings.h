// Python's string operations on marked text, shared by filters and methods. Pieces keep their
// marks; what an operation inserts by itself (nothing here does) would be the template's.
#pragma once

#include <functional>
#include <optional>

#include "chat/jinja/unicode.h"
#include "chat/jinja/value.h"

namespace foretoken::chat::jinja {

/// Takes characters of `set` (null: white space) off the ends.
Value trim(Context& context, const Text& text, Ends ends, const Text* set);
/// Replaces the first `count` occurrences (negative: all), left to right. An empty `old` matches
/// between all characters, as in Python.
Value replace(Context& context, const Text& text, const Text& old, const Text& with, Int count);
/// At most `max_splits` cuts (negative: no bound) at `separator` (null: runs of white space, none
/// at the ends), counted from the left or the right. Fails for an empty separator.
Value split(Context& context, const Text& text, const Text* separator, Int max_splits,
            bool from_right);
/// At \n, \r\n and \r; no empty last line.
Value split_lines(Context& context, const Text& text);
/// Applies a function to each character; it sees the previous one (0 at the start).
Value map_characters(Context& context, const Text& text,
                     const std::function<char32_t(char32_t previous, char32_t value)>& function);

Value upper_case(Context& context, const Text& text);
Value lower_case(Context& context, const Text& text);
/// First character up, the others down.
Value capitalise(Context& context, const Text& text);
/// Letters behind a character for which `starts_word` holds go up, the others down.
Value title_case(Context& context, const Text& text, bool (*starts_word)(char32_t previous));

}  // namespace foretoken::chat::jinja
