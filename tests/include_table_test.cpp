// ARCHITECTURE.md against the code: who includes whom, who may use intrinsics, who may print or
// exit, and whether the files and folders the map names exist.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "include_rules.h"

namespace foretoken::tests {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const fs::path kRoot = FORETOKEN_SOURCE_DIR;

std::string read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.is_open()) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

bool is_project_file(const std::string& path) { return fs::is_regular_file(kRoot / path); }

IncludeRules project_rules() { return read_rules(read_text(kRoot / "ARCHITECTURE.md")); }

std::vector<std::string> source_files(const fs::path& top) {
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(kRoot / top)) {
    const std::string extension = entry.path().extension().string();
    if (entry.is_regular_file() && (extension == ".h" || extension == ".cpp")) {
      files.push_back(fs::relative(entry.path(), kRoot).generic_string());
    }
  }
  std::ranges::sort(files);
  return files;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += "\n  " + line;
  return text;
}

// ---- The project ----

TEST(Architecture, IncludesFollowTheTable) {
  const IncludeRules rules = project_rules();
  std::vector<std::string> violations;
  std::size_t n_files = 0;
  for (const char* top : {"src", "tools"}) {
    for (const std::string& path : source_files(top)) {
      ++n_files;
      for (const std::string& violation :
           FileChecker(rules, path).check(read_text(kRoot / path), is_project_file)) {
        violations.push_back(violation);
      }
    }
  }
  EXPECT_GT(n_files, 50U);  // a wrong root would check nothing
  EXPECT_TRUE(violations.empty()) << joined(violations);
}

TEST(Architecture, EveryFolderHasARowAndEveryRowAFolder) {
  const IncludeRules rules = project_rules();
  std::set<std::string> folders = {"tools"};
  for (const auto& entry : fs::directory_iterator(kRoot / "src")) {
    if (entry.is_directory()) folders.insert(entry.path().filename().string());
  }
  std::set<std::string> rows;
  for (const auto& [folder, row] : rules.rows) rows.insert(folder);
  EXPECT_EQ(rows, folders);
}

TEST(Architecture, TheTableHasNoCycle) {
  // Folders are listed bottom to top, so each may name only those above it in the table.
  std::set<std::string> above;
  const std::string map = read_text(kRoot / "ARCHITECTURE.md");
  for (const auto& cells : read_table(map, "| Folder | Folders |")) {
    for (const std::string& folder : split(cells.at(1), ',')) {
      EXPECT_TRUE(folder.empty() || above.contains(folder)) << cells.at(0) << " names " << folder;
    }
    above.insert(cells.at(0));
  }
}

TEST(Architecture, LibrariesLinkOnlyWhatTheTableAllows) {
  const IncludeRules rules = project_rules();
  const std::string cmake = read_text(kRoot / "CMakeLists.txt");
  static const std::regex kLibrary(
      R"(foretoken_library\((\w+)(?: USES((?: \w+)+?))?(?: LINK[^)]*)?\))");
  int n_libraries = 0;
  for (std::sregex_iterator it(cmake.begin(), cmake.end(), kLibrary), end; it != end; ++it) {
    ++n_libraries;
    const std::string name = (*it)[1];
    ASSERT_TRUE(rules.rows.contains(name)) << name;
    for (const std::string& used : split((*it)[2].str(), ' ')) {
      EXPECT_TRUE(used.empty() || rules.rows.at(name).folders.contains(used))
          << "CMakeLists.txt links " << name << " with " << used;
    }
  }
  EXPECT_EQ(n_libraries + 1, static_cast<int>(rules.rows.size()));  // and tools
}

TEST(Architecture, NamedFilesAndFoldersExist) {
  static const std::regex kPath(R"(`((?:src|tools|tests|bench|fuzz|docs|models|cmake)/[\w./-]*)`)");
  for (const char* page : {"ARCHITECTURE.md", "README.md", "CONTRIBUTING.md"}) {
    const std::string text = read_text(kRoot / page);
    for (std::sregex_iterator it(text.begin(), text.end(), kPath), end; it != end; ++it) {
      EXPECT_TRUE(fs::exists(kRoot / (*it)[1].str())) << page << " names " << (*it)[1];
    }
  }
}

TEST(Architecture, CitedPagesExistAndTheIndexListsEveryPage) {
  static const std::regex kPage(R"(\bdocs/([\w-]+\.md))");
  for (const char* top : {"src", "tools", "bench", "fuzz"}) {
    for (const std::string& path : source_files(top)) {
      const std::string text = read_text(kRoot / path);
      for (std::sregex_iterator it(text.begin(), text.end(), kPage), end; it != end; ++it) {
        EXPECT_TRUE(is_project_file(it->str())) << path << " cites " << it->str();
      }
    }
  }
  const std::string index = read_text(kRoot / "docs/README.md");
  std::multiset<std::string> listed;  // a page listed twice is a mistake too
  for (const auto& cells : read_table(index, "| Page |")) listed.insert(cells.at(0));
  std::multiset<std::string> pages;
  for (const auto& entry : fs::directory_iterator(kRoot / "docs")) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(".md") && name != "README.md") pages.insert(name);
  }
  EXPECT_EQ(listed, pages);
}

// ---- The checker itself: each rule is broken once ----

const IncludeRules kRules = read_rules(
    "| Folder | Folders | Outside packages |\n|---|---|---|\n"
    "| base | | fmt, system |\n| gguf | base | fmt |\n| tools | base, gguf | cli11 |\n\n"
    "| Path | Why |\n|---|---|\n| src/base/pause.cpp | why |\n");

std::vector<std::string> check(const std::string& path, const std::string& source) {
  const auto exists = [](const std::string& name) {
    return name == "src/base/error.h" || name == "src/gguf/file.h" || name == "tools/a/command.h";
  };
  return FileChecker(kRules, path).check(source, exists);
}

TEST(IncludeRules, ReadsTheTables) {
  EXPECT_EQ(kRules.rows.size(), 3U);
  EXPECT_THAT(kRules.rows.at("base").folders, IsEmpty());
  EXPECT_THAT(kRules.rows.at("base").packages, ElementsAre("fmt", "system"));
  EXPECT_THAT(kRules.rows.at("tools").folders, ElementsAre("base", "gguf"));
  EXPECT_THAT(kRules.intrinsics_allowed, ElementsAre("src/base/pause.cpp"));
}

TEST(IncludeRules, AcceptsWhatTheTableAllows) {
  EXPECT_THAT(check("src/gguf/file.cpp",
                    "#include \"gguf/file.h\"\n#include <fmt/format.h>\n#include <vector>\n"
                    "#include \"base/error.h\"\n"),
              IsEmpty());
  EXPECT_THAT(check("tools/a/main.cpp",
                    "#include \"command.h\"\n#include <CLI/CLI.hpp>\n"
                    "int main() { std::cout << getenv(\"X\"); }\n"),
              IsEmpty());
  EXPECT_THAT(check("src/base/x_test.cpp",
                    "#include <gtest/gtest.h>\n#include <iostream>\n#include <unistd.h>\n"),
              IsEmpty());
  EXPECT_THAT(check("src/base/pause.cpp", "#include <immintrin.h>\n"), IsEmpty());
}

TEST(IncludeRules, RefusesAnIncludeUpwards) {
  EXPECT_THAT(check("src/base/x.cpp", "\n  #  include \"gguf/file.h\"\n"),
              ElementsAre("src/base/x.cpp:2: base may not include gguf (\"gguf/file.h\")"));
}

TEST(IncludeRules, RefusesAHeaderThatIsNotNamedFromSrc) {
  EXPECT_THAT(check("src/base/x.cpp", "#include \"error.h\"\n"),
              ElementsAre(HasSubstr("src/base/x.cpp:1: \"error.h\" is not a file below src/")));
  EXPECT_THAT(check("src/gguf/x.cpp", "#include \"../../tools/a/command.h\"\n"),
              ElementsAre(HasSubstr("is not a file below src/")));
}

TEST(IncludeRules, RefusesAnOutsidePackageThatTheRowLacks) {
  EXPECT_THAT(check("src/gguf/x.cpp", "#include <nlohmann/json.hpp>\n"),
              ElementsAre(HasSubstr("gguf may not include json")));
  EXPECT_THAT(check("src/gguf/x.cpp", "#include <sys/mman.h>\n"),
              ElementsAre(HasSubstr("gguf may not include system")));
  EXPECT_THAT(check("src/gguf/x.cpp", "#include <gtest/gtest.h>\n"),
              ElementsAre(HasSubstr("gguf may not include googletest")));
}

TEST(IncludeRules, RefusesIntrinsicsElsewhere) {
  EXPECT_THAT(check("src/base/other.cpp", "#include <immintrin.h>\n"),
              ElementsAre(HasSubstr("<immintrin.h> may be included only where")));
}

TEST(IncludeRules, RefusesAFolderWithoutARow) {
  EXPECT_THAT(check("src/stray/x.cpp", ""),
              ElementsAre(HasSubstr("folder stray has no row in ARCHITECTURE.md")));
}

TEST(IncludeRules, RefusesPrintingExitingAndTheEnvironmentBelowTools) {
  for (const char* code :
       {"std::exit(1);", "abort();", "x = std::getenv(\"A\");", "std::printf(\"x\");",
        "std::fprintf(stderr, \"x\");", "std::cerr << 1;", "fmt::print(\"x\");", "::_exit(0);"}) {
    EXPECT_THAT(check("src/base/x.cpp", code), ElementsAre(HasSubstr("src/base/x.cpp:1: ")))
        << code;
  }
  EXPECT_THAT(check("src/base/x.cpp", "#include <iostream>\n"), ElementsAre(HasSubstr("iostream")));
}

TEST(IncludeRules, IgnoresCommentsStringsAndLikeNames) {
  EXPECT_THAT(check("src/base/x.cpp",
                    "// exit(1)\n/* abort()\n getenv(1) */\nauto s = \"printf(\\\"x\\\")\";\n"
                    "auto r = R\"(exit(1) \" abort())\";\nstd::snprintf(b, 1, \"\");\n"
                    "scope_exit(f); loop.exit(); p->abort(); const int n = 1'000; char c = '\"';\n"
                    "auto t = \"exit(2)\";\n"),
              IsEmpty());
}

}  // namespace
}  // namespace foretoken::tests
