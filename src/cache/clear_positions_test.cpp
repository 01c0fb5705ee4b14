#include "cache/clear_positions.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "kernels/kv_codec.h"

namespace foretoken::cache {
namespace {

using quant::Type;

// Stores random keys and values at positions [0, n) of every layer and head with the scalar codec,
// which is the definition of the layout.
std::vector<std::byte> stored_page(const KvPageShape& shape, int n) {
  std::vector<std::byte> page(shape.page_bytes());
  std::byte* const pages[] = {page.data()};
  std::mt19937 random(1);
  std::uniform_real_distribution<float> value(-1.0F, 1.0F);
  std::vector<float> row(static_cast<std::size_t>(shape.head_dim));
  kernels::KvView view{shape.types.key,  shape.types.value, pages, 0, 0,
                       shape.n_kv_heads, shape.head_dim};
  for (int layer = 0; layer < shape.n_layers; ++layer) {
    view.key_offset =
        static_cast<std::size_t>(layer) * (shape.key_layer_bytes() + shape.value_layer_bytes());
    view.value_offset = view.key_offset + shape.key_layer_bytes();
    for (int head = 0; head < shape.n_kv_heads; ++head) {
      for (int position = 0; position < kernels::kKvPagePositions; ++position) {
        const int tile = position / kernels::kKvTile;
        const int slot = position % kernels::kKvTile;
        for (float& x : row) x = value(random);
        if (position < n) {
          kernels::encode_key(shape.types.key, row.data(), shape.head_dim, slot,
                              view.key_tile(head, tile));
          kernels::encode_value(shape.types.value, row.data(), shape.head_dim, slot,
                                view.value_tile(head, tile));
        }
      }
    }
  }
  return page;
}

// A page stored up to the end and cleared from n is, byte for byte, one stored up to n.
TEST(ClearPositions, LeavesWhatWasStoredBelowAndNothingElse) {
  for (const Type key : {Type::F32, Type::F16, Type::BF16, Type::Q8_0, Type::Q4_0}) {
    for (const Type value : {Type::F32, Type::F16, Type::BF16, Type::Q8_0, Type::Q4_0}) {
      const KvPageShape shape{2, 3, 64, {key, value}};
      const std::vector<std::byte> full = stored_page(shape, kernels::kKvPagePositions);
      for (const int n : {0, 1, 15, 16, 17, 40, 63, 64}) {
        std::vector<std::byte> page = full;
        clear_positions_from(page.data(), shape, n);
        EXPECT_EQ(page, stored_page(shape, n))
            << quant::type_info(key).name << " " << quant::type_info(value).name << " " << n;
      }
    }
  }
}

}  // namespace
}  // namespace foretoken::cache
