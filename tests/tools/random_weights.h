// Random numbers as fast as memory takes them: normal deviates come from a table of 4096 quantiles,
// five of them per 64 random bits, already rounded to BF16 for the tensor at hand.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "checkpoint_shape.h"

namespace foretoken::testing {

/// Elements that share one stream of random bits; pieces of a tensor start at multiples of it.
inline constexpr std::size_t kWeightsPerStream = std::size_t{1} << 20;

/// Fills `out` with elements [first, first + n) of a tensor, as bytes of its type (BF16 or F32); n
/// follows from the size of `out`. The values depend on seed, tensor name and position alone.
/// Requires `first` to be a multiple of kWeightsPerStream. Thread-safe.
void fill_weights(const CheckpointTensor& tensor, std::uint64_t seed, std::size_t first,
                  std::span<std::byte> out);

}  // namespace foretoken::testing
