// Which type each tensor gets when a whole model is written in one: most take that type, but norms,
// vectors and the like stay F32.
// Source: docs/convert.md, "Types"; conversion/base.py of llama.cpp de3ff815.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "convert/model_source.h"
#include "quant/type.h"

namespace foretoken::convert {

/// "f32", "f16", "bf16", "q8_0" in any case; nothing for other texts.
[[nodiscard]] std::optional<quant::Type> find_out_type(std::string_view text);

/// The 16-bit type of the first matrix that has one, F16 when none has: what "auto" means.
quant::Type automatic_type(std::span<const TensorSource> tensors);

/// The type of a tensor in a file of type `wanted` (one of the four). Rows that no Q8_0 block fits
/// become F16.
quant::Type converted_type(const TensorSource& tensor, quant::Type wanted);

/// Number for general.file_type. Requires one of the four types.
std::uint32_t out_file_type(quant::Type type);

}  // namespace foretoken::convert
