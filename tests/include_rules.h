// The architecture's rules as data, and a checker of source text against them. The rules are read
// from the tables of ARCHITECTURE.md; the checker looks at one file at a time and reports
// "file:line: what, and the rule", so that both can be tested on invented files.
#pragma once

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace foretoken::tests {

struct IncludeRow {
  std::set<std::string> folders;   ///< folders of src/ whose headers may be included
  std::set<std::string> packages;  ///< names of kPackages, or "system"
};

struct IncludeRules {
  std::map<std::string, IncludeRow> rows;       ///< by folder of src/, and "tools"
  std::vector<std::string> intrinsics_allowed;  ///< path prefixes
};

inline std::string trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t`");
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(" \t`") - first + 1));
}

inline std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream{std::string(text)};
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(trimmed(part));
  return parts;
}

/// Rows of the first Markdown table behind a line that starts with `header`, without the rule line.
inline std::vector<std::vector<std::string>> read_table(const std::string& markdown,
                                                        std::string_view header) {
  std::vector<std::vector<std::string>> rows;
  std::istringstream stream(markdown);
  bool inside = false;
  for (std::string line; std::getline(stream, line);) {
    if (!inside) {
      inside = line.starts_with(header);
      continue;
    }
    if (!line.starts_with('|')) break;
    if (line.starts_with("|--")) continue;
    rows.push_back(split(std::string_view(line).substr(1), '|'));
  }
  return rows;
}

inline IncludeRules read_rules(const std::string& markdown) {
  IncludeRules rules;
  for (const auto& cells : read_table(markdown, "| Folder | Folders |")) {
    IncludeRow& row = rules.rows[cells.at(0)];
    for (const std::string& folder : split(cells.at(1), ',')) {
      if (!folder.empty()) row.folders.insert(folder);
    }
    for (const std::string& package : split(cells.at(2), ',')) {
      if (!package.empty()) row.packages.insert(package);
    }
  }
  for (const auto& cells : read_table(markdown, "| Path | Why |")) {
    rules.intrinsics_allowed.push_back(cells.at(0));
  }
  return rules;
}

/// Source text with comments and the contents of string and character literals blanked, line
/// structure kept. Include lines keep their quotes' contents.
inline std::string code_only(const std::string& source) {
  std::string out = source;
  const auto blank = [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < std::min(end, out.size()); ++i) {
      if (out[i] != '\n') out[i] = ' ';
    }
  };
  std::size_t i = 0;
  bool include_line = false;
  while (i < source.size()) {
    if (i == 0 || source[i - 1] == '\n') {
      const std::size_t hash = source.find_first_not_of(" \t", i);
      include_line = hash != std::string::npos && source[hash] == '#';
    }
    const std::string_view rest = std::string_view(source).substr(i);
    std::size_t end = i + 1;
    if (rest.starts_with("//")) {
      end = std::min(source.find('\n', i), source.size());
      blank(i, end);
    } else if (rest.starts_with("/*")) {
      const std::size_t close = source.find("*/", i + 2);
      end = close == std::string::npos ? source.size() : close + 2;
      blank(i, end);
    } else if (rest.starts_with("R\"")) {
      const std::size_t open = source.find('(', i);
      std::string close_mark(1, ')');
      if (open != std::string::npos) close_mark.append(source, i + 2, open - i - 2).append("\"");
      const std::size_t close = open == std::string::npos ? open : source.find(close_mark, open);
      end = close == std::string::npos ? source.size() : close + close_mark.size();
      blank(i + 2, end - 1);
    } else if ((rest[0] == '"' && !include_line) ||
               (rest[0] == '\'' &&
                (i == 0 || std::isalnum(static_cast<unsigned char>(source[i - 1])) == 0))) {
      while (end < source.size() && source[end] != rest[0] && source[end] != '\n') {
        end += source[end] == '\\' ? 2 : 1;
      }
      blank(i + 1, end);
      ++end;
    }
    i = end;
  }
  return out;
}

/// Name of the outside package a header in <> belongs to; "" for the C++ standard library.
inline std::string package_of(const std::string& header) {
  struct Package {
    const char* prefix;
    const char* name;
  };
  static constexpr std::array kPackages = {Package{"fmt/", "fmt"},
                                           Package{"nlohmann/", "json"},
                                           Package{"CLI/", "cli11"},
                                           Package{"pcre2.h", "pcre2"},
                                           Package{"utf8proc.h", "utf8proc"},
                                           Package{"editline/", "libedit"},
                                           Package{"histedit.h", "libedit"},
                                           Package{"openssl/", "openssl"},
                                           Package{"boost/", "boost"},
                                           Package{"curl/", "curl"},
                                           Package{"prometheus/", "prometheus"},
                                           Package{"spdlog/", "spdlog"},
                                           Package{"xxhash.h", "xxhash"},
                                           Package{"gtest/", "googletest"},
                                           Package{"gmock/", "googletest"},
                                           Package{"benchmark/", "benchmark"}};
  for (const Package& package : kPackages) {
    if (header.starts_with(package.prefix)) return package.name;
  }
  // The standard library's headers have neither a folder nor an extension.
  return header.find_first_of("./") == std::string::npos ? "" : "system";
}

inline bool is_intrinsics_header(const std::string& header) {
  return header.ends_with("intrin.h") || header.ends_with("intrin-gcc.h") || header == "cpuid.h" ||
         header == "arm_neon.h" || header == "arm_sve.h";
}

/// Checks one file's text. `path` is relative to the project ("src/base/x.cpp"); `exists` says
/// whether a path relative to the project is a file.
class FileChecker {
 public:
  FileChecker(const IncludeRules& rules, std::string path) : rules_(rules), path_(std::move(path)) {
    const std::vector<std::string> parts = split(path_, '/');
    folder_ = parts.at(0) == "src" && parts.size() > 2 ? parts[1] : parts[0];
    is_test_ = path_.ends_with("_test.cpp");
  }

  template <class Exists>
  std::vector<std::string> check(const std::string& source, const Exists& exists) {
    static const std::regex kInclude(R"re(^\s*#\s*include\s*([<"])([^>"]+)[>"])re");
    violations_.clear();
    if (!rules_.rows.contains(folder_)) {
      report(1, "folder " + folder_ + " has no row in ARCHITECTURE.md");
      return violations_;
    }
    std::istringstream stream(code_only(source));
    int number = 0;
    for (std::string line; std::getline(stream, line);) {
      ++number;
      std::smatch match;
      if (!std::regex_search(line, match, kInclude)) {
        if (folder_ != "tools" && !is_test_) check_calls(number, line);
      } else if (match[1] == "<") {
        check_outside(number, match[2]);
      } else {
        check_project(number, match[2], exists);
      }
    }
    return violations_;
  }

 private:
  template <class Exists>
  void check_project(int line, const std::string& header, const Exists& exists) {
    if (folder_ == "tools" && exists(program_folder() + header)) return;
    if (!exists("src/" + header)) {
      report(line, "\"" + header + "\" is not a file below src/; name headers from there");
      return;
    }
    const std::string target = header.substr(0, header.find('/'));
    if (target != folder_ && !rules_.rows.at(folder_).folders.contains(target)) {
      report(line, folder_ + " may not include " + target + " (\"" + header + "\")");
    }
  }

  // "tools/foretoken/" of "tools/foretoken/serve/log.cpp": a program names its headers from there.
  std::string program_folder() const {
    const std::size_t program = path_.find('/') + 1;
    return path_.substr(0, path_.find('/', program) + 1);
  }

  void check_outside(int line, const std::string& header) {
    if (header == "iostream" && folder_ != "tools" && !is_test_) {
      report(line, "only tools may include <iostream>");
    }
    if (is_intrinsics_header(header)) {
      const auto& allowed = rules_.intrinsics_allowed;
      if (std::ranges::none_of(allowed, [&](const auto& p) { return path_.starts_with(p); })) {
        report(line, "<" + header + "> may be included only where ARCHITECTURE.md lists it");
      }
      return;
    }
    const std::string package = package_of(header);
    if (package.empty()) return;
    if (is_test_ && (package == "googletest" || package == "system")) return;
    if (!rules_.rows.at(folder_).packages.contains(package)) {
      report(line, folder_ + " may not include " + package + " (<" + header + ">)");
    }
  }

  void check_calls(int line, const std::string& text) {
    static const std::regex kForbidden(
        R"((^|[^\w.>])(getenv|secure_getenv|setenv|exit|_exit|_Exit|quick_exit|abort|terminate|)"
        R"(printf|vprintf|fprintf|vfprintf|puts|fputs|putchar|perror)\s*\(|\bstd::(cout|cerr|clog)\b)"
        R"(|\bfmt::(print|println)\s*\()");
    std::smatch match;
    if (std::regex_search(text, match, kForbidden)) {
      report(line, "below tools/ nobody prints, exits, aborts or reads the environment: " +
                       trimmed(match.str()));
    }
  }

  void report(int line, const std::string& what) {
    violations_.push_back(path_ + ":" + std::to_string(line) + ": " + what);
  }

  const IncludeRules& rules_;
  std::string path_;
  std::string folder_;
  bool is_test_ = false;
  std::vector<std::string> violations_;
};

}  // namespace foretoken::tests
