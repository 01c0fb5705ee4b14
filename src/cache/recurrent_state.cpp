#include "cache/recurrent_state.h"

#include <cstring>

namespace foretoken::cache {
namespace {

std::size_t z(int n) { return static_cast<std::size_t>(n); }

// Ring row of the position `back` tokens before `pos`; positions below zero wrap to rows that are
// still zero, which is what the convolution sees before the start.
std::size_t ring_row(int pos, int back) {
  return z((pos - back + kernels::kConvRing) % kernels::kConvRing);
}

}  // namespace

RecurrentState::RecurrentState(const kernels::DeltaNetShape& shape, int n_layers)
    : shape_(shape),
      n_layers_(n_layers),
      s_(shape.state_size() * z(n_layers)),
      conv_ring_(z(n_layers) * kernels::kConvRing * z(shape.n_channels())),
      pending_k_(z(n_layers) * kernels::kMaxPending * z(shape.n_k_heads * shape.d_k)),
      pending_v_(z(n_layers) * kernels::kMaxPending * z(shape.n_v_heads * shape.d_v)),
      pending_beta_(z(n_layers) * kernels::kMaxPending * z(shape.n_v_heads)),
      pending_g_(z(n_layers) * kernels::kMaxPending * z(shape.n_v_heads)) {
  s_.prefer_large_pages();  // streamed once a step
}

kernels::DeltaNetState RecurrentState::view(int layer) const {
  const std::size_t i = z(layer);
  const auto part = [&](const AlignedBuffer<float>& all) {
    return all.data() + i * (all.size() / z(n_layers_));
  };
  return {part(s_),         part(conv_ring_),    part(pending_k_),
          part(pending_v_), part(pending_beta_), part(pending_g_)};
}

void RecurrentState::clear() {
  s_.discard();
  conv_ring_.discard();
}

RecurrentState::Snapshot RecurrentState::take_snapshot(int pos) const {
  Snapshot out = make_snapshot();
  for (int layer = 0; layer < n_layers_; ++layer) copy_layer(layer, pos, out);
  return out;
}

RecurrentState::Snapshot RecurrentState::make_snapshot() const {
  Snapshot out{AlignedBuffer<float>(s_.size()),
               AlignedBuffer<float>(z(n_layers_) * 3 * z(shape_.n_channels()))};
  out.s.prefer_large_pages();  // a third of the time: most of a copy goes into first touches
  return out;
}

void RecurrentState::copy_layer(int layer, int pos, Snapshot& out) const {
  const std::size_t size = shape_.state_size();
  std::memcpy(out.s.data() + z(layer) * size, s_.data() + z(layer) * size, size * sizeof(float));
  const std::size_t channels = z(shape_.n_channels());
  const float* ring = conv_ring_.data() + z(layer) * kernels::kConvRing * channels;
  for (int back = 3; back >= 1; --back) {
    std::memcpy(out.conv.data() + (z(layer) * 3 + z(3 - back)) * channels,
                ring + ring_row(pos, back) * channels, channels * sizeof(float));
  }
}

void RecurrentState::restore(const Snapshot& snapshot, int pos) {
  const std::size_t channels = z(shape_.n_channels());
  std::memcpy(s_.data(), snapshot.s.data(), s_.size() * sizeof(float));
  for (std::size_t layer = 0; layer < z(n_layers_); ++layer) {
    float* ring = conv_ring_.data() + layer * kernels::kConvRing * channels;
    for (int back = 3; back >= 1; --back) {
      std::memcpy(ring + ring_row(pos, back) * channels,
                  snapshot.conv.data() + (layer * 3 + z(3 - back)) * channels,
                  channels * sizeof(float));
    }
  }
}

}  // namespace foretoken::cache
