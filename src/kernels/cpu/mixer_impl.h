// Fills a MixerTable for a vector vocabulary: the one line that an isa_*.cpp needs.
#pragma once

#include "kernels/cpu/attention_impl.h"
#include "kernels/cpu/delta_net_impl.h"
#include "kernels/cpu/mixer_table.h"
#include "kernels/cpu/vector_math.h"

namespace foretoken::kernels {
namespace {

template <class V>
void elementary_of(const float* x, float* out) {
  const auto value = V::load(x);
  V::store(out, exp_of<V>(value));
  V::store(out + 16, sigmoid_of<V>(value));
  V::store(out + 32, silu_of<V>(value));
  V::store(out + 48, softplus_of<V>(value));
}

template <class V>
constexpr MixerTable make_mixer_table() {
  return {
      .delta_net_inputs = DeltaNet<V>::inputs,
      .delta_net_heads = DeltaNet<V>::heads,
      .rotate = Attention<V>::rotate,
      .attend_splits = Attention<V>::splits,
      .attend_merge = Attention<V>::merge,
      .attend_rows = Attention<V>::rows,
      .elementary = elementary_of<V>,
  };
}

}  // namespace
}  // namespace foretoken::kernels
