// Implementation of delta_net_chunked.h. Names follow docs/delta-net.md: for tokens i of a chunk
// that enters with state S, D_ij is the decay from token j to token i, and w_i the vector that
// token i adds to the state along its key.
#include "kernels/delta_net_chunked.h"

#include <algorithm>
#include <cmath>

#include "kernels/delta_net_state.h"

namespace foretoken::kernels {
namespace {

std::size_t size(int x) { return static_cast<std::size_t>(x); }

float dot(const float* a, const float* b, int n) {
  float sum = 0.0F;
  for (int i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

// out += scale * x
void add_scaled(float scale, const float* x, int n, float* out) {
  for (int i = 0; i < n; ++i) out[i] += scale * x[i];
}

// One chunk: pointers to its first token.
struct Chunk {
  const float* q;
  const float* k;
  const float* v;
  const float* beta;
  const float* g;
  int n;
  int d_k;
  int d_v;
  float* s;
  float* out;
  float* decay;   // [n][n]: D_ij for j <= i
  float* from_s;  // [n]: decay from the entering state to token i
  float* w;       // [n][d_v]
};

// out = s^T x
void read_state(const Chunk& c, const float* x, float* out) {
  for (int column = 0; column < c.d_v; column += kStateStrip) {
    const float* strip = c.s + size(column) * size(c.d_k);
    std::fill_n(out + column, kStateStrip, 0.0F);
    for (int i = 0; i < c.d_k; ++i) {
      add_scaled(x[i], strip + size(i) * kStateStrip, kStateStrip, out + column);
    }
  }
}

// The exponents are summed from token to token. Differences of running totals would cancel: after
// one token with g = -80, a total no longer resolves steps of 1e-6.
void fill_decays(const Chunk& c) {
  float total = 0.0F;
  for (int i = 0; i < c.n; ++i) {
    total += c.g[i];
    c.from_s[i] = std::exp(total);
    float between = 0.0F;
    for (int j = i; j >= 0; --j) {
      c.decay[size(i) * size(c.n) + size(j)] = std::exp(between);
      between += c.g[j];
    }
  }
}

// Solves (I + A) w = diag(beta) (v - diag(from_s) k S), A_ij = beta_i (k_i . k_j) D_ij for j < i.
void solve(const Chunk& c) {
  for (int i = 0; i < c.n; ++i) {
    const float* k = c.k + size(i) * size(c.d_k);
    const float* v = c.v + size(i) * size(c.d_v);
    float* w = c.w + size(i) * size(c.d_v);
    read_state(c, k, w);
    for (int column = 0; column < c.d_v; ++column) {
      w[column] = c.beta[i] * (v[column] - c.from_s[i] * w[column]);
    }
    for (int j = 0; j < i; ++j) {
      const float a = c.beta[i] * dot(k, c.k + size(j) * size(c.d_k), c.d_k) *
                      c.decay[size(i) * size(c.n) + size(j)];
      add_scaled(-a, c.w + size(j) * size(c.d_v), c.d_v, w);
    }
  }
}

// out_i = from_s_i S^T q_i + sum over j <= i of (q_i . k_j) D_ij w_j
void read_out(const Chunk& c) {
  for (int i = 0; i < c.n; ++i) {
    const float* q = c.q + size(i) * size(c.d_k);
    float* out = c.out + size(i) * size(c.d_v);
    read_state(c, q, out);
    for (int column = 0; column < c.d_v; ++column) out[column] *= c.from_s[i];
    for (int j = 0; j <= i; ++j) {
      const float weight =
          dot(q, c.k + size(j) * size(c.d_k), c.d_k) * c.decay[size(i) * size(c.n) + size(j)];
      add_scaled(weight, c.w + size(j) * size(c.d_v), c.d_v, out);
    }
  }
}

// S <- from_s_last S + sum over j of D_last,j k_j w_j^T
void advance(const Chunk& c) {
  const int last = c.n - 1;
  for (int column = 0; column < c.d_v; column += kStateStrip) {
    float* strip = c.s + size(column) * size(c.d_k);
    for (int i = 0; i < c.d_k; ++i) {
      float* cells = strip + size(i) * kStateStrip;
      for (int lane = 0; lane < kStateStrip; ++lane) cells[lane] *= c.from_s[last];
      for (int j = 0; j < c.n; ++j) {
        const float weight =
            c.decay[size(last) * size(c.n) + size(j)] * c.k[size(j) * size(c.d_k) + size(i)];
        add_scaled(weight, c.w + size(j) * size(c.d_v) + column, kStateStrip, cells);
      }
    }
  }
}

}  // namespace

std::size_t delta_net_chunked_floats(int chunk, int d_v) {
  return size(chunk) * (size(chunk) + 1 + size(d_v));
}

void delta_net_chunked(const DeltaNetChunkedArgs& args, std::span<float> scratch) {
  for (int first = 0; first < args.n; first += args.chunk) {
    Chunk c{};
    c.n = std::min(args.chunk, args.n - first);
    c.d_k = args.d_k;
    c.d_v = args.d_v;
    c.q = args.q + size(first) * size(args.d_k);
    c.k = args.k + size(first) * size(args.d_k);
    c.v = args.v + size(first) * size(args.d_v);
    c.beta = args.beta + first;
    c.g = args.g + first;
    c.s = args.s;
    c.out = args.out + size(first) * size(args.d_v);
    c.decay = scratch.data();
    c.from_s = c.decay + size(c.n) * size(c.n);
    c.w = c.from_s + c.n;
    fill_decays(c);
    solve(c);
    read_out(c);
    advance(c);
  }
}

}  // namespace foretoken::kernels
