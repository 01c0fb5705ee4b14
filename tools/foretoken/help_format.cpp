// CLI11's own formatter shows its bookkeeping ("[Option Group: X]", "Excludes: --y") and does not
// wrap.
#include "help_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace foretoken::tools {
namespace {

constexpr std::size_t kTextColumn = 30;
constexpr std::size_t kTextWidth = 70;

// Words of `text` in lines of kTextWidth, all but the first indented to kTextColumn.
std::string wrap(std::string_view text) {
  std::string out;
  std::size_t used = 0;
  while (!text.empty()) {
    const std::size_t length = std::min(text.find(' '), text.size());
    if (used > 0 && used + 1 + length > kTextWidth) {
      out += "\n" + std::string(kTextColumn, ' ');
      used = 0;
    }
    if (used > 0) out += ' ';
    out += text.substr(0, length);
    used += length + (used > 0 ? 1 : 0);
    text.remove_prefix(std::min(length + 1, text.size()));
  }
  return out;
}

}  // namespace

std::string HelpFormatter::make_expanded(const CLI::App* sub) const {
  if (!sub->get_name().empty()) return CLI::Formatter::make_expanded(sub);
  std::string out = fmt::format("\n{}:\n", sub->get_group());
  for (const CLI::Option* option : sub->get_options()) {
    if (option == sub->get_help_ptr() || option->get_group().empty()) continue;
    out += make_option(option, option->get_positional());
  }
  return out;
}

std::string HelpFormatter::make_option(const CLI::Option* option, bool is_positional) const {
  std::string name = "  " + make_option_name(option, is_positional) + make_option_opts(option);
  // CLI11 marks the spellings that switch something off.
  constexpr std::string_view kOff = "{false}";
  for (std::size_t at = name.find(kOff); at != std::string::npos; at = name.find(kOff)) {
    name.erase(at, kOff.size());
  }
  if (name.size() + 1 > kTextColumn) {
    name += "\n" + std::string(kTextColumn, ' ');
  } else {
    name.resize(kTextColumn, ' ');
  }
  return name + wrap(make_option_desc(option)) + "\n";
}

std::string HelpFormatter::make_option_opts(const CLI::Option* option) const {
  const std::string type = option->get_type_name();
  if (option->get_type_size() == 0 || type.empty()) return {};  // a flag
  return " " + type.substr(0, type.find(':'));                  // what follows lists the checks
}

std::string HelpFormatter::make_option_desc(const CLI::Option* option) const {
  std::string out = option->get_description();
  if (option->get_required()) out += " (required)";
  if (!option->get_default_str().empty()) {
    out += fmt::format(" (default: {})", option->get_default_str());
  }
  if (!option->get_envname().empty()) out += fmt::format(" [${}]", option->get_envname());
  return out;
}

}  // namespace foretoken::tools
