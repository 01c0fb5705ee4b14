// Faint text is SGR 2 of ECMA-48.
#include "reply_printer.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/error.h"
#include "base/text.h"

namespace foretoken::tools {
namespace {

constexpr std::string_view kFaint = "\x1B[2m";
constexpr std::string_view kPlain = "\x1B[0m";

}  // namespace

std::string terminal_safe(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    const std::string_view unit = text.substr(0, length == 0 ? 1 : length);
    const bool is_c1 =
        unit.size() == 2 && unit[0] == '\xC2' && static_cast<unsigned char>(unit[1]) < 0xA0;
    const bool is_c0 =
        unit.size() == 1 && (static_cast<unsigned char>(unit[0]) < 0x20 || unit[0] == 0x7F);
    if (unit == "\n" || unit == "\t" || (length != 0 && !is_c0 && !is_c1)) {
      out += unit;
    } else if (unit != "\r") {  // Windows line ends are common and harmless
      out += printable(unit);
    }
    text.remove_prefix(unit.size());
  }
  return out;
}

ReplyPrinter::~ReplyPrinter() {
  if (!thinking_open_ || !options_.colours) return;
  std::fwrite(kPlain.data(), 1, kPlain.size(), stdout);
  std::fflush(stdout);
}

void ReplyPrinter::write(std::string_view text) {
  if (text.empty()) return;
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    throw IoError(fmt::format("standard output: cannot write: {}", std::strerror(errno)));
  }
  any_ = true;
  line_open_ = text.back() != '\n';
}

void ReplyPrinter::begin_thinking() {
  thinking_open_ = true;
  write(options_.colours ? kFaint : std::string_view("<think>\n"));
}

void ReplyPrinter::end_thinking() {
  thinking_open_ = false;
  const bool open = line_open_;
  if (options_.colours) {
    write(kPlain);
    line_open_ = open;  // a colour code moves nothing
  }
  if (open) write("\n");
  write(options_.colours ? "\n" : "</think>\n\n");
}

void ReplyPrinter::thinking(std::string_view text) {
  if (!options_.show_thinking || text.empty()) return;
  if (!thinking_open_) begin_thinking();
  write(options_.terminal ? terminal_safe(text) : std::string(text));
}

void ReplyPrinter::answer(std::string_view text) {
  if (text.empty()) return;
  if (thinking_open_) end_thinking();
  has_answer_ = true;
  write(options_.terminal ? terminal_safe(text) : std::string(text));
}

void ReplyPrinter::finish() {
  if (thinking_open_) {
    const bool open = line_open_;
    thinking_open_ = false;
    if (options_.colours) {
      write(kPlain);
      line_open_ = open;
    }
  }
  if (any_ && line_open_) write("\n");
}

}  // namespace foretoken::tools
