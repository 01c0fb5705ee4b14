#include "serve/switch.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <optional>
#include <string_view>

namespace foretoken::tools {
namespace {

std::optional<bool> truth(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  static constexpr std::array<std::string_view, 4> kTrue = {"true", "1", "on", "enabled"};
  static constexpr std::array<std::string_view, 4> kFalse = {"false", "0", "off", "disabled"};
  if (std::find(kTrue.begin(), kTrue.end(), lower) != kTrue.end()) return true;
  if (std::find(kFalse.begin(), kFalse.end(), lower) != kFalse.end()) return false;
  return std::nullopt;
}

// The value that the environment asks for; nothing when it is silent or says something else (the
// latter is reported when the command line is parsed, through the option's own check).
std::optional<bool> from_environment(const std::string& name) {
  constexpr std::string_view kPrefix = "LLAMA_ARG_";
  if (const char* text = std::getenv(name.c_str())) return truth(text);
  if (!name.starts_with(kPrefix)) return std::nullopt;
  const std::string negative = "LLAMA_ARG_NO_" + name.substr(kPrefix.size());
  // Its mere presence counts, as in llama.cpp, unless it says no.
  if (const char* text = std::getenv(negative.c_str())) return !truth(text).value_or(true);
  return std::nullopt;
}

}  // namespace

CLI::Option* add_switch(CLI::App& group, const std::string& flags, bool& value,
                        const std::string& help, const std::string& environment) {
  if (!environment.empty()) {
    if (const std::optional<bool> wanted = from_environment(environment)) value = *wanted;
  }
  return group.add_flag(flags, value, help)->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
}

}  // namespace foretoken::tools
