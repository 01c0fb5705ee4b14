#include "convert/model_id.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <regex>
#include <vector>

namespace foretoken::convert {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
// Bytes of other scripts count as letters.
bool is_letter(char c) { return is_upper(c) || is_lower(c) || static_cast<unsigned char>(c) > 127; }
bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
char to_upper(char c) { return is_lower(c) ? static_cast<char>(c - 'a' + 'A') : c; }
char to_lower(char c) { return is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c; }

// The library's matcher recurses per character; no meaningful part is this long.
constexpr std::size_t kMaxMatched = 64;

bool matches(const std::string& text, const std::regex& expression) {
  return text.size() <= kMaxMatched && std::regex_match(text, expression);
}

std::regex ignoring_case(const char* expression) {
  return std::regex(expression, std::regex::ECMAScript | std::regex::icase);
}

/// A part of a name between hyphens and what it may be.
struct Part {
  std::string text;
  bool is_basename = false;
  bool is_size = false;
  bool is_finetune = false;
  bool is_version = false;
  bool is_type = false;

  int n_kinds() const { return is_basename + is_size + is_finetune + is_version + is_type; }
};

std::vector<Part> split_parts(std::string_view name) {
  std::vector<Part> parts;
  while (true) {
    const std::size_t hyphen = std::min(name.find('-'), name.size());
    if (hyphen > 0) parts.push_back({.text = std::string(name.substr(0, hyphen))});
    if (hyphen == name.size()) return parts;
    name.remove_prefix(hyphen + 1);
  }
}

/// The number of weights a label such as "1.7B" stands for; nothing for "A3B" or "small".
std::optional<double> labelled_params(const std::string& label) {
  const std::string digits = label.substr(0, label.size() - 1);
  const bool plain = !digits.empty() &&
                     std::ranges::all_of(digits, [](char c) { return is_digit(c) || c == '.'; });
  if (!plain) return std::nullopt;
  const std::size_t power = std::string_view(" KMBT").find(label.back());
  if (power == std::string_view::npos) return std::nullopt;
  return std::strtod(digits.c_str(), nullptr) * std::pow(1000.0, static_cast<double>(power));
}

void mark_size(Part& part, std::uint64_t n_params) {
  std::string& text = part.text;
  std::ranges::replace(text, '_', '.');
  if (is_digit(text.back())) {  // "7b1" is 7.1b
    const char unit = text[text.size() - 2];
    text = text.substr(0, text.size() - 2) + "." + text.back() + unit;
  }
  if (text.size() > 1 && is_digit(text[text.size() - 2])) text.back() = to_upper(text.back());
  if (n_params != 0) {
    const auto label = labelled_params(text);
    const auto allowed = static_cast<double>(7 * n_params / 8);
    if (label && std::fabs(*label - static_cast<double>(n_params)) > allowed) {
      part.is_finetune = true;  // likely a context length
      text.back() = to_lower(text.back());
    }
  }
  if (part.n_kinds() == 0) part.is_size = true;
}

void mark_parts(std::vector<Part>& parts, std::uint64_t n_params) {
  static const std::regex version = ignoring_case(R"((v|iter)?\d+([.]\d+)*)");
  static const std::regex type = ignoring_case(R"(i?q\d(_\w)*|b?fp?(16|32))");
  static const std::regex size =
      ignoring_case(R"((([A]|\d+[x])?\d+([._]\d+)?[KMBT][\d]?|small|mini|medium|large|x?xl))");
  static const std::regex finetune = ignoring_case(R"(chat|instruct|vision|lora)");
  for (std::size_t i = 0; i < parts.size(); ++i) {
    Part& part = parts[i];
    if (matches(part.text, version)) {
      part.is_version = true;
    } else if (matches(part.text, type)) {
      part.is_type = true;
      std::ranges::transform(part.text, part.text.begin(), to_upper);
    } else if (i > 0 && matches(part.text, size)) {
      mark_size(part, n_params);
    } else if (i > 0 && matches(part.text, finetune)) {
      part.is_finetune = true;
    }
  }
  // "small" says nothing beside "9B".
  const bool has_number = std::ranges::any_of(parts, [](const Part& part) {
    return part.is_size && std::ranges::any_of(part.text, is_digit);
  });
  if (!has_number) return;
  for (Part& part : parts) {
    if (std::ranges::all_of(part.text, is_letter)) part.is_size = false;
  }
}

void mark_basename(std::vector<Part>& parts) {
  bool at_start = true;
  for (Part& part : parts) {
    if (at_start && ((part.n_kinds() == 0 && is_letter(part.text.front())) || part.is_version)) {
      part.is_basename = true;
    } else {
      at_start = false;
      if (part.n_kinds() == 0) part.is_finetune = true;
    }
  }
  // A version at the end of the base name is a version after all.
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    if (!part->is_basename || part->n_kinds() < 2) break;
    part->is_basename = false;
  }
}

template <class Predicate>
std::optional<std::string> join(const std::vector<Part>& parts, Predicate predicate) {
  std::string out;
  for (const Part& part : parts) {
    if (!predicate(part)) continue;
    if (!out.empty()) out += '-';
    out += part.text;
  }
  if (out.empty()) return std::nullopt;
  return out;
}

/// Each label once.
std::optional<std::string> join_sizes(const std::vector<Part>& parts) {
  std::vector<Part> once;
  for (const Part& part : parts) {
    const bool known =
        std::ranges::any_of(once, [&part](const Part& other) { return other.text == part.text; });
    if (part.is_size && !known) once.push_back(part);
  }
  return join(once, [](const Part&) { return true; });
}

std::string hyphenated(std::string_view text, bool slashes) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  std::string out(text);
  for (char& c : out) {
    if (c == ' ' || (slashes && c == '/')) c = '-';
  }
  return out;
}

/// A capital after everything that is no letter, small letters elsewhere.
std::string title(std::string_view word) {
  std::string out(word);
  bool inside = false;
  for (char& c : out) {
    c = inside ? to_lower(c) : to_upper(c);
    inside = is_letter(c);
  }
  return out;
}

/// "v1.2", or anything that starts with a digit.
bool is_version_word(std::string_view word) {
  static const std::regex version(R"(v\d+(\.\d+)*)");
  return is_digit(word.front()) || matches(std::string(word), version);
}

}  // namespace

ModelId parse_model_id(std::string_view id, std::uint64_t n_params) {
  if (id.find(' ') != std::string_view::npos) return {.name = std::string(id)};
  ModelId out;
  const std::size_t slash = id.find('/');
  if (slash != std::string_view::npos) {
    // "./name" is a path.
    if (slash == 0 || id.front() != '.') out.organization = std::string(id.substr(0, slash));
    id.remove_prefix(slash + 1);
  }
  out.name = std::string(id);
  std::vector<Part> parts = split_parts(id);
  mark_parts(parts, n_params);
  mark_basename(parts);
  out.basename = join(parts, [](const Part& part) { return part.is_basename; });
  out.size_label = join_sizes(parts);
  out.finetune = join(parts, [](const Part& part) { return part.is_finetune; });
  out.version = join(parts, [](const Part& part) { return part.is_version && !part.is_basename; });
  // Too little to tell a base name from any other word.
  if (!out.size_label && !out.finetune && !out.version) out.basename.reset();
  return out;
}

std::string id_to_title(std::string_view id) {
  std::string out;
  std::size_t i = 0;
  const auto separates = [](char c) { return c == '-' || is_space(c); };
  while (i < id.size()) {
    if (separates(id[i])) {
      ++i;
      continue;
    }
    std::size_t end = i;
    while (end < id.size() && !separates(id[end])) ++end;
    const std::string_view word = id.substr(i, end - i);
    const bool lower = std::ranges::any_of(word, is_lower) && std::ranges::none_of(word, is_upper);
    if (!out.empty()) out += ' ';
    out += lower && !is_version_word(word) ? title(word) : std::string(word);
    i = end;
  }
  return out;
}

std::string size_label(std::uint64_t n_params) {
  const auto n = static_cast<double>(n_params);
  double scaled = n * 1e-3;
  char unit = 'K';
  if (n > 1e12) {
    scaled = n * 1e-12;
    unit = 'T';
  } else if (n > 1e9) {
    scaled = n * 1e-9;
    unit = 'B';
  } else if (n > 1e6) {
    scaled = n * 1e-6;
    unit = 'M';
  }
  const std::string whole = fmt::format("{:.0f}", scaled);
  const std::size_t n_digits = whole == "0" ? 0 : whole.size();
  return fmt::format("{:.{}f}{}", scaled, n_digits >= 2 ? 0 : 2 - n_digits, unit);
}

std::string default_file_name(const FileNameParts& parts) {
  std::string out = "ggml-model";
  if (parts.basename) {
    out = hyphenated(*parts.basename, true);
  } else if (parts.name) {
    out = hyphenated(*parts.name, true);
  }
  if (parts.size_label) out += "-" + *parts.size_label;
  if (parts.finetune) out += "-" + hyphenated(*parts.finetune, false);
  if (parts.version) out += "-" + hyphenated(*parts.version, false);
  if (parts.encoding) out += "-" + *parts.encoding;
  return out;
}

}  // namespace foretoken::convert
