// The recurrent state of one delta-net layer under the replay design.
//
// The state matrix always stands at the last *committed* token. A forward pass over a few new
// tokens leaves it there and records, per new token, what is needed to redo its update (k, v, beta,
// g); the next pass first folds the accepted ones in, in order, with the same arithmetic. So a step
// reads and writes the state once whatever the draft length, and a rollback is a smaller count.
// Source: docs/cache-and-state.md; ReplaySSM (2026) for the idea.
#pragma once

#include <cstddef>

namespace foretoken::kernels {

/// Most tokens a forward pass may leave uncommitted: the last token plus eight drafts.
inline constexpr int kMaxPending = 9;
/// Rows of the ring of convolution inputs, a power of two >= kMaxPending + 3.
inline constexpr int kConvRing = 16;
/// Columns of the state that lie together.
inline constexpr int kStateStrip = 16;

/// Sizes of a delta-net layer. Requires d_v % 16 == 0, d_k % 16 == 0, n_v_heads % n_k_heads == 0.
struct DeltaNetShape {
  int n_k_heads = 0;  ///< Hk
  int n_v_heads = 0;  ///< Hv
  int d_k = 0;        ///< width of a q or k head
  int d_v = 0;        ///< width of a v head
  int n_channels() const { return 2 * n_k_heads * d_k + n_v_heads * d_v; }  ///< q, k, v together
  std::size_t state_size() const {
    return static_cast<std::size_t>(n_v_heads) * static_cast<std::size_t>(d_k) *
           static_cast<std::size_t>(d_v);
  }
};

/// Borrowed view of one layer's state. The owner is cache::RecurrentState.
struct DeltaNetState {
  float* s = nullptr;  ///< [n_v_heads][d_v/16][d_k][16]: strips of 16 value columns
  /// [kConvRing][n_channels]: inputs of the convolution (before it, before SiLU); the token at
  /// position p is in row p % kConvRing. Before the sequence start: zeros.
  float* conv_ring = nullptr;
  float* pending_k = nullptr;     ///< [kMaxPending][n_k_heads*d_k], normalised
  float* pending_v = nullptr;     ///< [kMaxPending][n_v_heads*d_v]
  float* pending_beta = nullptr;  ///< [kMaxPending][n_v_heads]
  float* pending_g = nullptr;     ///< [kMaxPending][n_v_heads], log decay
};

}  // namespace foretoken::kernels
