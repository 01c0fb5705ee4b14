// Looks at the object files that are compiled for one instruction set each. A function that such a
// file shares with others (a weak symbol) may be the copy that the linker keeps for the whole
// program, with instructions that the processor lacks. So every weak symbol there must carry its
// instruction set in its name; better still, there are none. Start-up code would run such
// instructions before anybody has asked the processor, so there must be none either.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

namespace foretoken {
namespace {

struct Symbol {
  char kind = ' ';  // as nm prints it
  std::string name;
};

std::vector<Symbol> symbols_of(const std::string& object) {
  const std::string command = "nm '" + object + "'";
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  std::vector<Symbol> symbols;
  std::array<char, 8192> line{};
  while (pipe != nullptr && std::fgets(line.data(), line.size(), pipe.get()) != nullptr) {
    std::istringstream words(line.data());
    std::string first;
    Symbol symbol;
    words >> first;
    if (first.size() > 1) words >> first;  // an address came first
    symbol.kind = first.empty() ? ' ' : first[0];
    words >> symbol.name;
    symbols.push_back(symbol);
  }
  return symbols;
}

constexpr const char* kKernels = FORETOKEN_KERNEL_OBJECTS;
constexpr const char* kQuant = FORETOKEN_QUANT_OBJECTS;

struct IsaObject {
  std::string objects;  // where its library's object files lie
  std::string file;     // isa_avx2.cpp
  std::string types;    // the names that mark its own symbols
  std::string table;    // what it is there to define
};

// Object files below `objects` whose source is `file`.
std::vector<std::string> objects_of(const std::string& objects, const std::string& file) {
  std::vector<std::string> found;
  if (!std::filesystem::exists(objects)) return found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(objects)) {
    if (entry.path().filename() == file + ".o") found.push_back(entry.path().string());
  }
  return found;
}

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kIsInstrumented = true;  // the sanitizer adds start-up code of its own
#else
constexpr bool kIsInstrumented = false;
#endif

class IsaSymbols : public ::testing::TestWithParam<IsaObject> {};

TEST_P(IsaSymbols, EveryWeakSymbolNamesItsInstructionSet) {
  const std::vector<std::string> objects = objects_of(GetParam().objects, GetParam().file);
  ASSERT_EQ(objects.size(), 1U) << "build the libraries first";
  bool has_table = false;
  for (const Symbol& symbol : symbols_of(objects[0])) {
    has_table = has_table || symbol.name.find(GetParam().table) != std::string::npos;
    if (symbol.kind == 'W') {  // functions; weak data holds no instructions
      EXPECT_NE(symbol.name.find(GetParam().types), std::string::npos)
          << symbol.name << " could replace the same function of other files";
    }
  }
  EXPECT_TRUE(has_table) << "nm did not show the table of " << objects[0];
}

TEST_P(IsaSymbols, NothingRunsBeforeTheProcessorWasAsked) {
  const std::vector<std::string> objects = objects_of(GetParam().objects, GetParam().file);
  ASSERT_EQ(objects.size(), 1U) << "build the libraries first";
  if (kIsInstrumented) GTEST_SKIP() << "instrumented objects start up by themselves";
  for (const Symbol& symbol : symbols_of(objects[0])) {
    EXPECT_EQ(symbol.name.find("_GLOBAL__sub_I"), std::string::npos)
        << "a constant is initialised at start-up: make it constinit";
  }
}

TEST(IsaSymbolsCheck, FindsWeakSymbolsWhereThereAreSome) {
  const std::vector<std::string> objects = objects_of(kKernels, "cpu_ops.cpp");
  ASSERT_EQ(objects.size(), 1U);
  int n_weak = 0;
  for (const Symbol& symbol : symbols_of(objects[0])) n_weak += symbol.kind == 'W' ? 1 : 0;
  EXPECT_GT(n_weak, 0);
}

#if defined(__x86_64__)
INSTANTIATE_TEST_SUITE_P(
    Kernels, IsaSymbols,
    ::testing::Values(IsaObject{kKernels, "isa_avx2.cpp", "Avx2", "kMatmulAvx2"},
                      IsaObject{kKernels, "isa_avx512.cpp", "Avx512", "kMatmulAvx512"},
                      IsaObject{kKernels, "isa_avx512_vnni.cpp", "Avx512Vnni",
                                "kMatmulAvx512Vnni"}));
INSTANTIATE_TEST_SUITE_P(Encoders, IsaSymbols,
                         ::testing::Values(IsaObject{kQuant, "isa_avx2.cpp", "Avx2", "kEncodeAvx2"},
                                           IsaObject{kQuant, "isa_avx512.cpp", "Avx512",
                                                     "kEncodeAvx512"}));
#else
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(IsaSymbols);
#endif

}  // namespace
}  // namespace foretoken
