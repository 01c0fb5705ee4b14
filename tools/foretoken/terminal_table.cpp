// Column widths are counted in code points without colour codes: near enough for names and shapes.
#include "terminal_table.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/text.h"

namespace foretoken::tools {
namespace {

constexpr std::size_t kIndent = 2;
constexpr std::size_t kGap = 2;

/// Bytes of the colour code or character at the start of `text`; `columns` is what it takes up.
std::size_t next_unit(std::string_view text, std::size_t& columns) {
  if (text.starts_with('\x1B')) {
    columns = 0;
    const std::size_t end = text.find('m');
    return end == std::string_view::npos ? 1 : end + 1;
  }
  columns = 1;
  return std::max<std::size_t>(1, utf8_length(text));
}

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  while (!text.empty()) {
    std::size_t columns = 0;
    text.remove_prefix(next_unit(text, columns));
    width += columns;
  }
  return width;
}

/// At most `width` columns of `text`; colour codes are kept, so that a colour is also ended.
std::string cut(std::string_view text, std::size_t width) {
  if (display_width(text) <= width) return std::string(text);
  std::string out;
  std::size_t used = 0;
  bool marked = false;
  while (!text.empty()) {
    std::size_t columns = 0;
    const std::size_t length = next_unit(text, columns);
    if (columns == 0 || used + columns < width) {
      out += text.substr(0, length);
      used += columns;
    } else if (!marked) {
      out += "\xE2\x80\xA6";  // an ellipsis
      marked = true;
      used = width;
    }
    text.remove_prefix(length);
  }
  return out;
}

}  // namespace

Terminal Terminal::standard_output() {
  if (::isatty(STDOUT_FILENO) == 0) return Terminal(false);
  const char* no_color = std::getenv("NO_COLOR");
  winsize size{};
  const bool known = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;
  return Terminal(no_color == nullptr || *no_color == '\0', known ? size.ws_col : 0);
}

std::string Terminal::wrap(std::string_view code, std::string_view text) const {
  if (!colours_) return std::string(text);
  return fmt::format("\x1B[{}m{}\x1B[0m", code, text);
}

void Table::print() const {
  std::vector<std::size_t> widths(columns_.size(), 0);
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], display_width(row[i]));
    }
  }
  for (const auto& row : rows_) {
    std::string line(kIndent, ' ');
    std::size_t used = kIndent;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const bool last = i + 1 == row.size();
      const std::string pad(widths[i] - display_width(row[i]), ' ');
      if (columns_[i] == Align::Right) line += pad;
      const bool too_wide = last && terminal_.width() > used + 8;
      line += too_wide ? cut(row[i], terminal_.width() - used) : row[i];
      if (columns_[i] == Align::Left && !last) line += pad;
      if (!last) line.append(kGap, ' ');
      used += widths[i] + kGap;
    }
    fmt::print("{}\n", line);
  }
}

}  // namespace foretoken::tools
