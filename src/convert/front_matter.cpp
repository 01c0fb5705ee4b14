#include "convert/front_matter.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace foretoken::convert {
namespace {

using nlohmann::ordered_json;

// A card that needs more than this is no card.
constexpr std::size_t kMaxLines = 20'000;

struct Line {
  std::size_t indent = 0;
  std::string text;  // without indentation and trailing space
};
using Lines = std::vector<Line>;

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

std::string_view trim(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

/// The lines between the two rulers; empty when there are none.
Lines front_lines(std::string_view readme) {
  Lines lines;
  bool inside = false;
  while (!readme.empty() && lines.size() < kMaxLines) {
    const std::size_t end = std::min(readme.find('\n'), readme.size());
    std::string_view line = readme.substr(0, end);
    readme.remove_prefix(std::min(end + 1, readme.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line == "---") {
      if (inside) return lines;
      inside = true;
      continue;
    }
    if (!inside) return {};
    std::size_t indent = 0;
    for (std::size_t i = 0; i < line.size() && is_blank(line[i]); ++i) {
      indent += line[i] == '\t' ? 2 : 1;
    }
    lines.push_back({indent, std::string(trim(line))});
  }
  return lines;
}

/// Up to a comment: '#' at the start or behind a blank, outside quotes.
std::string_view without_comment(std::string_view text) {
  char quote = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote != 0) {
      if (c == '\\' && quote == '"')
        ++i;
      else if (c == quote)
        quote = 0;
    } else if ((c == '"' || c == '\'') &&
               (i == 0 || is_blank(text[i - 1]) || text[i - 1] == '[' || text[i - 1] == ',')) {
      quote = c;
    } else if (c == '#' && (i == 0 || is_blank(text[i - 1]))) {
      return trim(text.substr(0, i));
    }
  }
  return trim(text);
}

std::string unquote(std::string_view text) {
  const char quote = text.front();
  text = text.substr(1, text.size() - 2);
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (quote == '\'' && text[i] == '\'' && i + 1 < text.size() && text[i + 1] == '\'') ++i;
    if (quote == '"' && text[i] == '\\' && i + 1 < text.size()) {
      ++i;
      const char c = text[i];
      out += c == 'n' ? '\n' : c == 't' ? '\t' : c;
      continue;
    }
    out += text[i];
  }
  return out;
}

/// A plain or quoted scalar; null for the spellings of null and for structures we do not read.
ordered_json scalar(std::string_view text) {
  text = trim(text);
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") return {};
  const char first = text.front();
  if (first == '"' || first == '\'') {
    if (text.size() < 2 || text.back() != first) return {};
    return unquote(text);
  }
  if (first == '{' || first == '[' || first == '&' || first == '*' || first == '!') return {};
  return std::string(text);
}

/// "[a, 'b, c', d]"
ordered_json flow_list(std::string_view text) {
  ordered_json out = ordered_json::array();
  text = text.substr(1, text.size() - 2);
  char quote = 0;
  std::size_t begin = 0;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    const char c = i < text.size() ? text[i] : ',';
    if (quote != 0 && i < text.size()) {
      if (c == quote) quote = 0;
    } else if ((c == '"' || c == '\'') && trim(text.substr(begin, i - begin)).empty()) {
      quote = c;
    } else if (c == ',') {
      ordered_json item = scalar(text.substr(begin, i - begin));
      if (!item.is_null()) out.push_back(std::move(item));
      begin = i + 1;
    }
  }
  return out;
}

/// "key: value" taken apart; false when the line is something else.
bool split_member(std::string_view text, std::string& key, std::string_view& value) {
  const std::size_t colon = text.find(':');
  if (colon == 0 || colon == std::string_view::npos) return false;
  if (colon + 1 < text.size() && !is_blank(text[colon + 1])) return false;
  const ordered_json name = scalar(text.substr(0, colon));
  if (!name.is_string() || text.front() == '-' || text.front() == '#') return false;
  key = name.get<std::string>();
  value = trim(text.substr(colon + 1));
  return true;
}

/// '|' keeps line ends, '>' folds them; the indentation of the first line is taken off all.
std::string block_scalar(std::string_view style, const Lines& lines) {
  const bool folds = style.front() == '>';
  std::size_t base = 0;
  for (const Line& line : lines) {
    if (line.text.empty()) continue;
    base = line.indent;
    break;
  }
  std::string out;
  for (const Line& line : lines) {
    if (!out.empty() && out.back() != '\n') out += folds && !line.text.empty() ? ' ' : '\n';
    if (line.text.empty()) {
      if (!folds) out += '\n';
      continue;
    }
    out.append(line.indent > base ? line.indent - base : 0, ' ');
    out += line.text;
  }
  while (!out.empty() && out.back() == '\n') out.pop_back();
  if (style.find('-') == std::string_view::npos && !out.empty()) out += '\n';
  return out;
}

/// The item of a list whose lines, without the dash, are given: a scalar or a small map.
ordered_json list_item(const Lines& lines) {
  std::string key;
  std::string_view value;
  if (!split_member(lines.front().text, key, value)) {
    std::string text;
    for (const Line& line : lines) text += (text.empty() ? "" : " ") + line.text;
    return scalar(without_comment(text));
  }
  ordered_json out = ordered_json::object();
  const std::size_t indent = lines.size() > 1 ? lines[1].indent : 0;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i > 0 && lines[i].indent != indent) continue;  // deeper: skipped
    if (split_member(lines[i].text, key, value)) out[key] = scalar(without_comment(value));
  }
  return out;
}

/// "- a", "- b" with what belongs to each.
ordered_json block_list(const Lines& lines) {
  ordered_json out = ordered_json::array();
  const std::size_t indent = lines.front().indent;
  for (std::size_t i = 0; i < lines.size();) {
    Lines item{{indent + 2, std::string(trim(std::string_view(lines[i].text).substr(1)))}};
    for (++i; i < lines.size() && lines[i].indent > indent; ++i) item.push_back(lines[i]);
    if (i < lines.size() && !lines[i].text.starts_with('-')) return {};
    ordered_json value = list_item(item);
    if (!value.is_null()) out.push_back(std::move(value));
  }
  return out;
}

/// The value of a member from the rest of its line and the lines below it.
ordered_json member_value(std::string_view first, const Lines& below) {
  if (first.starts_with('|') || first.starts_with('>')) return block_scalar(first, below);
  Lines lines;
  for (const Line& line : below) {
    if (!line.text.empty() && !line.text.starts_with('#')) lines.push_back(line);
  }
  std::string joined(without_comment(first));
  if (joined.empty() && !lines.empty()) {
    const std::string& text = lines.front().text;
    if (text == "-" || text.starts_with("- ")) return block_list(lines);
    std::string key;
    std::string_view value;
    if (split_member(text, key, value)) return {};  // a map, of which nobody asks anything
  }
  for (const Line& line : lines) {
    if (!joined.empty()) joined += ' ';
    joined += without_comment(line.text);
  }
  if (joined.size() >= 2 && joined.front() == '[' && joined.back() == ']') return flow_list(joined);
  return scalar(joined);
}

}  // namespace

ordered_json parse_front_matter(std::string_view readme) {
  ordered_json out = ordered_json::object();
  const Lines lines = front_lines(readme);
  for (std::size_t i = 0; i < lines.size();) {
    std::string key;
    std::string_view value;
    const bool is_member = lines[i].indent == 0 && split_member(lines[i].text, key, value);
    ++i;
    if (!is_member) continue;
    Lines below;
    // A list may stand at the indentation of its key.
    for (; i < lines.size(); ++i) {
      const Line& line = lines[i];
      const bool belongs = line.indent > 0 || line.text.empty() || line.text.starts_with("- ") ||
                           line.text == "-" || line.text.starts_with('#');
      if (!belongs) break;
      below.push_back(line);
    }
    out[key] = member_value(value, below);
  }
  return out;
}

}  // namespace foretoken::convert
