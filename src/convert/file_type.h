// The names people give to quantized files ("Q4_K_M"): for each the number in general.file_type and
// the tensor type most weights get. Which other types are mixed in, and where, is recipe.h's.
// Source: docs/quantize.md, "File types"; llama-quantize of llama.cpp de3ff815.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "quant/type.h"

namespace foretoken::convert {

struct FileType {
  std::string_view name;  ///< "Q4_K_M"
  std::uint32_t id = 0;   ///< value of general.file_type
  quant::Type base = quant::Type::F32;
  std::string_view note = {};  ///< a few words for people who choose
};

/// Set in general.file_type when it was guessed from the tensors.
inline constexpr std::uint32_t kGuessedFileType = 1024;

/// All that are made, in the order of a help text: largest first.
std::span<const FileType> file_types();

/// By name in any case, by alias (Q3_K, Q4_K and Q5_K mean their _M variants) or by number. Nothing
/// when it is none of llama-quantize's types. Throws UnsupportedError for those of its types that
/// are not made here (IQ1, IQ2, IQ3, TQ).
[[nodiscard]] std::optional<FileType> find_file_type(std::string_view text);

/// The file type for a file with most tensors of type `type`, as llama.cpp guesses it.
std::uint32_t guess_file_type(quant::Type type);

}  // namespace foretoken::convert
