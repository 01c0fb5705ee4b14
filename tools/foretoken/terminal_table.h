// Aligned columns and colours for standard output. Colours only where a person looks: on a
// terminal, and not when NO_COLOR is set (no-color.org).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace foretoken::tools {

/// Wraps text in colour codes, or leaves it alone. Cheap to copy.
class Terminal {
 public:
  static Terminal standard_output();
  explicit Terminal(bool colours, std::size_t width = 0) : colours_(colours), width_(width) {}

  std::string bold(std::string_view text) const { return wrap("1", text); }
  std::string dim(std::string_view text) const { return wrap("2", text); }
  std::string red(std::string_view text) const { return wrap("31", text); }
  std::string green(std::string_view text) const { return wrap("32", text); }
  std::string yellow(std::string_view text) const { return wrap("33", text); }
  /// Columns; 0 when the output is not a terminal, hence has no width.
  std::size_t width() const { return width_; }

 private:
  std::string wrap(std::string_view code, std::string_view text) const;
  bool colours_;
  std::size_t width_;
};

enum class Align { Left, Right };

/// Rows of cells, indented by two, columns two apart. Cells may carry Terminal's colours. On a
/// terminal the last column is cut to its width, so that each row stays one line.
class Table {
 public:
  Table(const Terminal& terminal, std::vector<Align> columns)
      : terminal_(terminal), columns_(std::move(columns)) {}

  /// Requires one cell a column.
  void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  void print() const;

 private:
  Terminal terminal_;
  std::vector<Align> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace foretoken::tools
