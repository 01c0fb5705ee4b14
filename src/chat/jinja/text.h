// A string that remembers, for each of its bytes, whether the template's author wrote it.
//
// The marks survive concatenation and slicing, so that after rendering the tokenizer can tell the
// template's <|im_start|> from one that somebody typed. Stored as runs: text has few of them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace foretoken::chat::jinja {

class Text {
 public:
  struct Run {
    std::size_t end;  ///< byte offset behind the run; it starts where the previous one ends
    bool trusted;
  };

  Text() = default;
  Text(std::string bytes, bool trusted);

  const std::string& bytes() const { return bytes_; }
  std::size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  /// Neighbouring runs differ in `trusted`; none is empty; the last ends at size().
  const std::vector<Run>& runs() const { return runs_; }
  /// Mark of the byte at `offset` < size().
  bool trusted_at(std::size_t offset) const;

  void append(std::string_view bytes, bool trusted);
  void append(const Text& other) { append(other, 0, other.size()); }
  /// Appends bytes [begin, end) of `other` with their marks. Requires begin <= end <= size and
  /// another object.
  void append(const Text& other, std::size_t begin, std::size_t end);
  Text slice(std::size_t begin, std::size_t end) const;

 private:
  std::size_t run_at(std::size_t offset) const;

  std::string bytes_;
  std::vector<Run> runs_;
};

}  // namespace foretoken::chat::jinja
