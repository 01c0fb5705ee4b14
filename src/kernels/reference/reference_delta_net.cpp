// The delta-net mixer as written in ops.h, token after token. The state is rounded to f32 after
// every token, so cutting a sequence into calls, or replaying pending tokens, changes no bit.
// Source: docs/delta-net.md; Yang et al., "Gated Delta Networks" (2024); Qwen3.5's mixer.
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/reference/reference_ops.h"

namespace foretoken::kernels {
namespace {

std::size_t index(int i) { return static_cast<std::size_t>(i); }

double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }
double silu(double x) { return x / (1.0 + std::exp(-x)); }
double softplus(double x) { return x > 20.0 ? x : std::log1p(std::exp(x)); }

float* ring_row(const DeltaNetArgs& args, std::int64_t pos) {
  const std::int64_t row = ((pos % kConvRing) + kConvRing) % kConvRing;
  return args.state.conv_ring + static_cast<std::size_t>(row) * index(args.shape.n_channels());
}

// qkv <- silu(causal convolution), and the ring receives the raw inputs that later calls need:
// those of every token that may still be rolled back, or else of the last three.
void convolve(const DeltaNetArgs& args) {
  const std::size_t n_channels = index(args.shape.n_channels());
  std::vector<float> window(index(args.n) + 3);
  const int first_kept = args.n <= kMaxPending ? 0 : args.n - 3;
  for (std::size_t channel = 0; channel < n_channels; ++channel) {
    for (int back = 3; back >= 1; --back) {
      window[index(3 - back)] = ring_row(args, args.first_pos - back)[channel];
    }
    for (int t = 0; t < args.n; ++t) {
      float& x = args.qkv[index(t) * n_channels + channel];
      window[index(t) + 3] = x;
      double sum = 0.0;
      for (std::size_t tap = 0; tap < 4; ++tap) {
        sum += static_cast<double>(args.conv[channel * 4 + tap]) * window[index(t) + tap];
      }
      x = static_cast<float>(silu(sum));
    }
    for (int t = first_kept; t < args.n; ++t) {
      ring_row(args, args.first_pos + t)[channel] = window[index(t) + 3];
    }
  }
}

// x <- x * (sum(x^2) + 1e-6)^(-1/2) * scale
void normalise_head(float* x, int width, double scale) {
  double sum = 0.0;
  for (int i = 0; i < width; ++i) sum += static_cast<double>(x[i]) * x[i];
  const double factor = scale / std::sqrt(sum + 1e-6);
  for (int i = 0; i < width; ++i) x[i] = static_cast<float>(x[i] * factor);
}

// What one token does to the state of one head.
struct Update {
  const float* k;  // [d_k]
  const float* v;  // [d_v]
  float beta;
  float g;
};

// s <- exp(g) s;  u = s^T k;  d = beta (v - u);  s <- s + k d^T, rounded to f32 at the end.
void update_state(const DeltaNetShape& shape, const Update& token, float* s) {
  const double decay = std::exp(static_cast<double>(token.g));
  for (int column = 0; column < shape.d_v; ++column) {
    float* strip = s + index(column / kStateStrip * kStateStrip) * index(shape.d_k) +
                   index(column % kStateStrip);
    double u = 0.0;
    for (int i = 0; i < shape.d_k; ++i) u += decay * strip[index(i) * kStateStrip] * token.k[i];
    const double d = token.beta * (token.v[column] - u);
    for (int i = 0; i < shape.d_k; ++i) {
      float& cell = strip[index(i) * kStateStrip];
      cell = static_cast<float>(decay * cell + token.k[i] * d);
    }
  }
}

// out = rms(s^T q) * norm * silu(z)
void read_state(const DeltaNetArgs& args, const float* s, const float* q, const float* z,
                float* out) {
  const DeltaNetShape& shape = args.shape;
  std::vector<double> o(index(shape.d_v));
  double sum = 0.0;
  for (int column = 0; column < shape.d_v; ++column) {
    const float* strip = s + index(column / kStateStrip * kStateStrip) * index(shape.d_k) +
                         index(column % kStateStrip);
    double dot = 0.0;
    for (int i = 0; i < shape.d_k; ++i) {
      dot += static_cast<double>(strip[index(i) * kStateStrip]) * q[i];
    }
    o[index(column)] = dot;
    sum += dot * dot;
  }
  const double scale = 1.0 / std::sqrt(sum / shape.d_v + static_cast<double>(args.eps));
  for (int i = 0; i < shape.d_v; ++i) {
    out[i] = static_cast<float>(o[index(i)] * scale * args.norm[i] * silu(z[i]));
  }
}

void run_head(const DeltaNetArgs& args, int head, const std::vector<float>& beta,
              const std::vector<float>& g) {
  const DeltaNetShape& shape = args.shape;
  const DeltaNetState& state = args.state;
  const std::size_t n_channels = index(shape.n_channels());
  const std::size_t k_width = index(shape.n_k_heads * shape.d_k);
  const std::size_t v_width = index(shape.n_v_heads * shape.d_v);
  const std::size_t k_at = index(head % shape.n_k_heads * shape.d_k);
  const std::size_t v_at = index(head * shape.d_v);
  const std::size_t n_heads = index(shape.n_v_heads);
  const std::size_t state_size = index(shape.d_k) * index(shape.d_v);
  float* s = state.s + index(head) * state_size;

  for (std::size_t t = 0; t < index(args.n_fold); ++t) {
    update_state(
        shape,
        {state.pending_k + t * k_width + k_at, state.pending_v + t * v_width + v_at,
         state.pending_beta[t * n_heads + index(head)], state.pending_g[t * n_heads + index(head)]},
        s);
  }
  std::vector<float> uncommitted;
  if (!args.commit) {
    uncommitted.assign(s, s + state_size);
    s = uncommitted.data();
  }
  for (std::size_t t = 0; t < index(args.n); ++t) {
    const float* row = args.qkv + t * n_channels;
    const std::size_t gate = t * n_heads + index(head);
    update_state(shape, {row + k_width + k_at, row + 2 * k_width + v_at, beta[gate], g[gate]}, s);
    read_state(args, s, row + k_at, args.z + t * v_width + v_at, args.out + t * v_width + v_at);
  }
}

void record_pending(const DeltaNetArgs& args, const std::vector<float>& beta,
                    const std::vector<float>& g) {
  const std::size_t k_width = index(args.shape.n_k_heads * args.shape.d_k);
  const std::size_t v_width = index(args.shape.n_v_heads * args.shape.d_v);
  for (std::size_t t = 0; t < index(args.n); ++t) {
    const float* row = args.qkv + t * index(args.shape.n_channels());
    std::copy_n(row + k_width, k_width, args.state.pending_k + t * k_width);
    std::copy_n(row + 2 * k_width, v_width, args.state.pending_v + t * v_width);
  }
  std::copy(beta.begin(), beta.end(), args.state.pending_beta);
  std::copy(g.begin(), g.end(), args.state.pending_g);
}

}  // namespace

void ReferenceOps::delta_net(const DeltaNetArgs& args) {
  const DeltaNetShape& shape = args.shape;
  convolve(args);
  std::vector<float> beta(index(args.n) * index(shape.n_v_heads));
  std::vector<float> g(beta.size());
  for (int t = 0; t < args.n; ++t) {
    float* row = args.qkv + index(t) * index(shape.n_channels());
    for (int head = 0; head < shape.n_k_heads; ++head) {
      normalise_head(row + index(head * shape.d_k), shape.d_k, 1.0 / std::sqrt(shape.d_k));
      normalise_head(row + index((shape.n_k_heads + head) * shape.d_k), shape.d_k, 1.0);
    }
    for (int head = 0; head < shape.n_v_heads; ++head) {
      const std::size_t i = index(t) * index(shape.n_v_heads) + index(head);
      const double dt =
          static_cast<double>(args.alpha[i]) + static_cast<double>(args.dt_bias[head]);
      beta[i] = static_cast<float>(sigmoid(args.beta[i]));
      g[i] = static_cast<float>(args.a[head] * softplus(dt));
    }
  }
  for (int head = 0; head < shape.n_v_heads; ++head) run_head(args, head, beta, g);
  if (!args.commit) record_pending(args, beta, g);
}

}  // namespace foretoken::kernels
