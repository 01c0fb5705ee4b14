// Looks for numbers that no quantizer writes on purpose: scales or elements that are infinite or
// NaN. One of them turns every output of the model into NaN.
// Source: docs/quant-formats.md, "Valid blocks".
#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "quant/type.h"

namespace foretoken::quant {

/// Index of the first block that holds an f16 scale or minimum, a float element or an E8M0 byte
/// that is not finite; nothing when all are fine. Types without such numbers (integers, NVFP4,
/// whose scales are always finite) are always fine. Requires whole blocks.
[[nodiscard]] std::optional<std::size_t> find_invalid_block(Type type,
                                                            std::span<const std::byte> data);

}  // namespace foretoken::quant
