#include "token_list.h"

#include <fmt/format.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <memory>

#include "base/error.h"

namespace foretoken::tools {

std::vector<TokenId> parse_token_list(std::string_view text, std::string_view what) {
  constexpr std::string_view kSeparators = "[], \t\r\n";
  std::vector<TokenId> out;
  for (std::size_t at = text.find_first_not_of(kSeparators); at != std::string_view::npos;) {
    const std::size_t end = std::min(text.find_first_of(kSeparators, at), text.size());
    const std::string_view word = text.substr(at, end - at);
    TokenId id = 0;
    const auto parsed = std::from_chars(word.data(), word.data() + word.size(), id);
    if (parsed.ec != std::errc{} || parsed.ptr != word.data() + word.size() || id < 0) {
      throw RequestError(
          fmt::format("{}: '{}' is not a token id; write numbers like 1,2,3 or [1, 2, 3]", what,
                      word.substr(0, 40)));
    }
    out.push_back(id);
    at = text.find_first_not_of(kSeparators, end);
  }
  if (out.empty()) throw RequestError(fmt::format("{}: no token ids given", what));
  return out;
}

std::string read_text_file(const std::string& path) {
  struct Close {
    void operator()(std::FILE* file) const {
      if (file != stdin) std::fclose(file);
    }
  };
  const std::unique_ptr<std::FILE, Close> file(path == "-" ? stdin
                                                           : std::fopen(path.c_str(), "rb"));
  if (!file) throw IoError(fmt::format("{}: cannot open: {}", path, std::strerror(errno)));
  std::string out;
  char buffer[1 << 16];
  for (;;) {
    const std::size_t n = std::fread(buffer, 1, sizeof(buffer), file.get());
    out.append(buffer, n);
    if (n < sizeof(buffer)) break;
  }
  if (std::ferror(file.get()) != 0) {
    throw IoError(fmt::format("{}: cannot read: {}", path, std::strerror(errno)));
  }
  return out;
}

}  // namespace foretoken::tools
