// The table of file types, and looking them up.
#include "convert/file_type.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <string>

#include "base/error.h"

namespace foretoken::convert {
namespace {

using quant::Type;

constexpr std::array kFileTypes{
    FileType{"F32", 0, Type::F32, "all weights as 32-bit floats"},
    FileType{"BF16", 32, Type::BF16, "as most checkpoints are: the file to quantize from"},
    FileType{"F16", 1, Type::F16, "for programs without BF16"},
    FileType{"Q8_0", 7, Type::Q8_0, "half of BF16, hardly told apart from it"},
    FileType{"MXFP4_MOE", 38, Type::MXFP4, "for experts; a dense model becomes Q8_0"},
    FileType{"Q6_K", 18, Type::Q6_K, "a very good copy"},
    FileType{"Q5_K_M", 17, Type::Q5_K, "a good copy; half of the sensitive weights as Q6_K"},
    FileType{"Q5_K_S", 16, Type::Q5_K, "Q5_K_M without the mixture"},
    FileType{"Q5_1", 9, Type::Q5_1, "older; Q5_K_M is better"},
    FileType{"Q5_0", 8, Type::Q5_0, "older; Q5_K_S is better"},
    FileType{"Q4_K_M", 15, Type::Q4_K, "the usual choice; half of the sensitive weights as Q6_K"},
    FileType{"Q4_K_S", 14, Type::Q4_K, "a little smaller than Q4_K_M"},
    FileType{"Q4_1", 3, Type::Q4_1, "older; Q4_K_M is better"},
    FileType{"IQ4_NL", 25, Type::IQ4_NL, "4 bits on a curved scale, in short blocks"},
    FileType{"Q4_0", 2, Type::Q4_0, "older; Q4_K_S is better"},
    FileType{"IQ4_XS", 30, Type::IQ4_XS, "the smallest 4-bit file"},
    FileType{"Q3_K_L", 13, Type::Q3_K, "3 bits with much mixed in"},
    FileType{"Q3_K_M", 12, Type::Q3_K, "3 bits; losses show"},
    FileType{"Q3_K_S", 11, Type::Q3_K, "3 bits without a mixture"},
    FileType{"Q2_K", 10, Type::Q2_K, "2 bits; large losses"},
    FileType{"Q2_K_S", 21, Type::Q2_K, "smaller; needs an importance matrix"},
    FileType{"Q2_0", 41, Type::Q2_0, "for weights trained as -1, 0, 1"},
    FileType{"Q1_0", 40, Type::Q1_0, "for weights trained as -1, 1"},
};

struct Alias {
  std::string_view name;
  std::string_view means;
};
constexpr std::array kAliases{Alias{"Q3_K", "Q3_K_M"}, Alias{"Q4_K", "Q4_K_M"},
                              Alias{"Q5_K", "Q5_K_M"}};

struct Unsupported {
  std::string_view name;
  std::uint32_t id;
};
constexpr std::array kUnsupported{
    Unsupported{"IQ2_XXS", 19}, Unsupported{"IQ2_XS", 20}, Unsupported{"IQ3_XS", 22},
    Unsupported{"IQ3_XXS", 23}, Unsupported{"IQ1_S", 24},  Unsupported{"IQ3_S", 26},
    Unsupported{"IQ3_M", 27},   Unsupported{"IQ2_S", 28},  Unsupported{"IQ2_M", 29},
    Unsupported{"IQ1_M", 31},   Unsupported{"TQ1_0", 36},  Unsupported{"TQ2_0", 37},
};

// The number that `text` is as a whole.
std::optional<std::uint32_t> parse_id(std::string_view text) {
  std::uint32_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return id;
}

}  // namespace

std::span<const FileType> file_types() { return kFileTypes; }

std::optional<FileType> find_file_type(std::string_view text) {
  std::string name(text);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  for (const Alias& alias : kAliases) {
    if (name == alias.name) name = alias.means;
  }
  const std::optional<std::uint32_t> id = parse_id(text);
  for (const FileType& type : kFileTypes) {
    if (type.name == name || type.id == id) return type;
  }
  for (const Unsupported& type : kUnsupported) {
    if (type.name != name && type.id != id) continue;
    throw UnsupportedError(
        fmt::format("{} files are not made here: below 3 bits a model of this family loses too "
                    "much; take Q3_K_M or IQ4_XS, or make it with llama-quantize",
                    type.name));
  }
  return std::nullopt;
}

std::uint32_t guess_file_type(Type type) {
  switch (type) {
    case Type::Q3_K:
      return 12;  // Q3_K_M: of the variants the middle one
    case Type::Q4_K:
      return 15;
    case Type::Q5_K:
      return 17;
    case Type::NVFP4:
      return 39;
    default:
      break;
  }
  const std::string_view name = quant::type_info(type).name;
  for (const FileType& known : kFileTypes) {
    if (known.name == name) return known.id;
  }
  for (const Unsupported& known : kUnsupported) {
    if (known.name == name) return known.id;
  }
  return 0;  // F32, as llama.cpp says of types it does not expect
}

}  // namespace foretoken::convert
