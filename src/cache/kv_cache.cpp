#include "cache/kv_cache.h"

#include <fmt/format.h>

#include "base/error.h"

namespace foretoken::cache {
namespace {

std::size_t layer_bytes(const KvCache::Shape& shape, quant::Type type) {
  if (!kernels::is_kv_type(type)) {
    throw RequestError(
        fmt::format("a KV cache cannot be of type {}; use f32, f16, bf16, q8_0 or q4_0",
                    quant::type_info(type).name));
  }
  return static_cast<std::size_t>(shape.n_kv_heads) *
         static_cast<std::size_t>(kernels::kv_tiles(shape.capacity)) *
         kernels::kv_tile_bytes(type, shape.head_dim);
}

}  // namespace

KvCache::KvCache(const Shape& shape)
    : shape_(shape),
      key_layer_bytes_(layer_bytes(shape, shape.types.key)),
      value_layer_bytes_(layer_bytes(shape, shape.types.value)),
      keys_(key_layer_bytes_ * static_cast<std::size_t>(shape.n_layers)),
      values_(value_layer_bytes_ * static_cast<std::size_t>(shape.n_layers)) {}

kernels::KvView KvCache::view(int layer) const {
  kernels::KvView view;
  view.key_type = shape_.types.key;
  view.value_type = shape_.types.value;
  view.keys = keys_.data() + static_cast<std::size_t>(layer) * key_layer_bytes_;
  view.values = values_.data() + static_cast<std::size_t>(layer) * value_layer_bytes_;
  view.n_tiles = kernels::kv_tiles(shape_.capacity);
  view.n_kv_heads = shape_.n_kv_heads;
  view.head_dim = shape_.head_dim;
  return view;
}

std::size_t KvCache::bytes_for(int n_positions) const {
  const std::size_t tile = kernels::kv_tile_bytes(shape_.types.key, shape_.head_dim) +
                           kernels::kv_tile_bytes(shape_.types.value, shape_.head_dim);
  return static_cast<std::size_t>(shape_.n_layers) * static_cast<std::size_t>(shape_.n_kv_heads) *
         static_cast<std::size_t>(kernels::kv_tiles(n_positions)) * tile;
}

}  // namespace foretoken::cache
