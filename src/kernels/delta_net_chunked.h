// The delta-net recurrence of one head in chunks (the WY or UT form): a chunk's updates are solved
// for together, so the state is touched once per chunk and the rest is matrix products. For units
// with wide products (GPUs, matrix extensions); the CPU backend keeps the sequential recurrence,
// which is bit-identical however a prompt is cut, as this form is not.
// Source: docs/delta-net.md, "In chunks"; Yang et al., "Parallelizing Linear Transformers with the
// Delta Rule over Sequence Length" (2024), and "Gated Delta Networks" (2024).
#pragma once

#include <cstddef>
#include <span>

namespace foretoken::kernels {

/// One head over n tokens. Inputs as the recurrence of Ops::delta_net sees them: q and k
/// normalised, q scaled, beta in (0, 1), g <= 0 the log of the decay.
struct DeltaNetChunkedArgs {
  const float* q = nullptr;     ///< [n, d_k]
  const float* k = nullptr;     ///< [n, d_k]
  const float* v = nullptr;     ///< [n, d_v]
  const float* beta = nullptr;  ///< [n]
  const float* g = nullptr;     ///< [n]
  int n = 0;
  int d_k = 0;
  int d_v = 0;           ///< a multiple of 16
  int chunk = 64;        ///< tokens solved for together, >= 1; the last chunk may be shorter
  float* s = nullptr;    ///< [d_v/16][d_k][16], updated in place
  float* out = nullptr;  ///< [n, d_v]: s^T q after each token; no norm, no gate
};

/// Floats of scratch that `delta_net_chunked` needs.
std::size_t delta_net_chunked_floats(int chunk, int d_v);

/// Runs the tokens in order. Agrees with the recurrence to rounding; every exponent formed is <= 0,
/// so no decay, however strong, overflows. Requires scratch.size() >= delta_net_chunked_floats.
void delta_net_chunked(const DeltaNetChunkedArgs& args, std::span<float> scratch);

}  // namespace foretoken::kernels
