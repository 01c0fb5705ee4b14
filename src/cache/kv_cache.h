// Keys and values of the full-attention layers of one sequence.
//
// Memory is reserved for the whole context at once but only touched pages are backed, so a long
// context that is never filled costs nothing. Dropping positions is a matter of the caller's count:
// what lies beyond it is overwritten by the next store.
#pragma once

#include "base/aligned_buffer.h"
#include "kernels/kv_layout.h"
#include "quant/type.h"

namespace foretoken::cache {

/// Element types of keys and values.
struct KvTypes {
  quant::Type key = quant::Type::F16;
  quant::Type value = quant::Type::F16;
};

class KvCache {
 public:
  struct Shape {
    int n_layers = 0;
    int n_kv_heads = 0;
    int head_dim = 0;
    int capacity = 0;  ///< positions
    KvTypes types;
  };

  /// Throws IoError when the address space cannot be had, RequestError for a type no cache has.
  explicit KvCache(const Shape& shape);

  kernels::KvView view(int layer) const;
  int capacity() const { return shape_.capacity; }
  /// Bytes that `n_positions` positions of all layers take.
  std::size_t bytes_for(int n_positions) const;

 private:
  Shape shape_;
  std::size_t key_layer_bytes_;
  std::size_t value_layer_bytes_;
  PageMemory keys_;
  PageMemory values_;
};

}  // namespace foretoken::cache
