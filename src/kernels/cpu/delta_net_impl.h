// The delta-net mixer over a vector vocabulary V. Two regions: inputs (convolution, SiLU, l2 norm;
// one item per q, k or v head) and heads (recurrence, output norm, gate; one item per v head).
//
// The state is walked in strips of 16 value columns, [d_k][16], which stay in the first-level cache
// while all tokens of a block pass over them. The pass that updates a strip for token t also forms
// s^T q for t and s^T k for t+1, so a cell is loaded and stored once per token. Every sum over d_k
// has two partial sums (even and odd rows), added at the end: the order is the same whether a
// token is folded, committed or uncommitted, and wherever a call begins.
// Source: docs/delta-net.md.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/mixer_table.h"
#include "kernels/cpu/vector_math.h"
#include "kernels/delta_net_state.h"

namespace foretoken::kernels {
namespace {

constexpr std::size_t kLanes = kStateStrip;

template <class V>
struct DeltaNet {
  using F = typename V::F;

  // ---- inputs

  // Channels [begin, begin + width) of all tokens: qkv <- silu(convolution), raw inputs to the
  // ring.
  static void convolve(const DeltaNetJob& job, int begin, int width) {
    if (job.n == 0) return;  // a call that only folds
    // Token by token over a stretch of channels: long prompts have one row of 32 KB per token,
    // and walking down a column of them would touch a new page each time.
    constexpr int kStretch = 64;
    for (int from = begin; from < begin + width; from += kStretch) {
      const int left = begin + width - from;
      convolve_stretch<kStretch>(job, from, left < kStretch ? left : kStretch);
    }
  }

  // x <- x * (sum(x^2) + 1e-6)^(-1/2) * scale
  static void normalise(float* x, int width, float scale) {
    F sum = V::zero();
    for (int i = 0; i < width; i += 16) sum = V::fma(V::load(x + i), V::load(x + i), sum);
    const F factor = V::set(scale / __builtin_sqrtf(V::sum(sum) + 1e-6F));
    for (int i = 0; i < width; i += 16) V::store(x + i, V::mul(V::load(x + i), factor));
  }

  static void inputs(const DeltaNetJob& job, int begin, int end) {
    for (int item = begin; item < end; ++item) {
      if (item < job.n_k_heads) {
        query_head(job, item);
      } else if (item < 2 * job.n_k_heads) {
        key_head(job, item - job.n_k_heads);
      } else {
        const int head = item - 2 * job.n_k_heads;
        convolve(job, 2 * job.n_k_heads * job.d_k + head * job.d_v, job.d_v);
      }
    }
  }

  // ---- heads

  static void heads(const DeltaNetJob& job, int begin, int end, int thread) {
    float* scratch = job.thread_scratch + static_cast<std::size_t>(thread) * job.thread_stride;
    for (int head = begin; head < end; ++head) run_head(job, head, scratch);
  }

 private:
  static std::size_t size(int x) { return static_cast<std::size_t>(x); }

  static float* ring_row(const DeltaNetJob& job, std::int64_t pos) {
    return job.conv_ring + (static_cast<std::size_t>(pos) % kConvRing) * size(job.n_channels);
  }

  template <int kStretch>
  static void convolve_stretch(const DeltaNetJob& job, int from, int width) {
    float window[3][kStretch];  // raw inputs of tokens t-1, t-2, t-3, at index (t - i) % 3
    for (int back = 1; back <= 3; ++back) {
      const float* row = ring_row(job, job.first_pos - back) + from;
      for (int i = 0; i < width; i += 16) V::store(window[3 - back] + i, V::load(row + i));
    }
    F taps[kStretch / 16][4];
    for (int i = 0; i < width; i += 16) V::load_taps(job.conv + 4 * size(from + i), taps[i / 16]);
    const int first_kept = job.n <= kMaxPending ? 0 : job.n - 3;
    for (int t = 0; t < job.n; ++t) {
      float* x = job.qkv + size(t) * size(job.n_channels) + from;
      float* oldest = window[t % 3];  // token t-3, replaced by token t
      const float* older = window[(t + 1) % 3];
      const float* old = window[(t + 2) % 3];
      float* kept = t >= first_kept ? ring_row(job, job.first_pos + t) + from : oldest;
      for (int i = 0; i < width; i += 16) {
        const F raw = V::load(x + i);
        const F* tap = taps[i / 16];
        F y = V::mul(tap[0], V::load(oldest + i));
        y = V::fma(tap[1], V::load(older + i), y);
        y = V::fma(tap[2], V::load(old + i), y);
        y = V::fma(tap[3], raw, y);
        V::store(x + i, silu_of<V>(y));
        V::store(oldest + i, raw);
        V::store(kept + i, raw);
      }
    }
  }

  static void query_head(const DeltaNetJob& job, int head) {
    const float scale = 1.0F / __builtin_sqrtf(static_cast<float>(job.d_k));
    convolve(job, head * job.d_k, job.d_k);
    for (int t = 0; t < job.n; ++t) {
      normalise(job.qkv + size(t) * size(job.n_channels) + size(head * job.d_k), job.d_k, scale);
    }
  }

  // The pending keys move aside before the new ones take their place: several v heads will read
  // either, so no v head may do it.
  static void key_head(const DeltaNetJob& job, int head) {
    const std::size_t at = size(head * job.d_k);
    const std::size_t row_width = size(job.n_k_heads * job.d_k);
    for (int t = 0; t < job.n_fold; ++t) {
      copy(job.pending_k + size(t) * row_width + at, job.d_k,
           job.fold_k + size(t) * row_width + at);
    }
    convolve(job, (job.n_k_heads + head) * job.d_k, job.d_k);
    for (int t = 0; t < job.n; ++t) {
      float* k = job.qkv + size(t) * size(job.n_channels) + row_width + at;
      normalise(k, job.d_k, 1.0F);
      if (!job.commit) copy(k, job.d_k, job.pending_k + size(t) * row_width + at);
    }
  }

  static void copy(const float* from, int n, float* to) {
    for (int i = 0; i < n; i += 16) V::store(to + i, V::load(from + i));
  }

  // Tokens that pass over the state together: folded ones first, then new ones.
  struct Block {
    int n = 0;
    int n_fold = 0;
    const float* k = nullptr;  // [n][d_k]
    const float* q = nullptr;  // [n][d_k], unset for folded tokens
    const float* v = nullptr;  // [n][d_v]
    float* out = nullptr;      // [n][d_v], not yet normalised; unset for folded tokens
    float beta[kDeltaBlock] = {};
    float g[kDeltaBlock] = {};
    float decay[kDeltaBlock];  // e^g
  };

  static void run_head(const DeltaNetJob& job, int head, float* scratch) {
    const int n_tokens = job.n_fold + job.n;
    float* s = job.s + size(head) * size(job.d_k) * size(job.d_v);
    for (int first = 0; first < n_tokens; first += kDeltaBlock) {
      const int left = n_tokens - first;
      Block block;
      gather(job, head, first, left < kDeltaBlock ? left : kDeltaBlock, scratch, block);
      float* aside = job.commit ? nullptr : scratch + 2 * kDeltaBlock * size(job.d_k + job.d_v);
      walk_strips(job, block, s, aside);
      for (int t = block.n_fold; t < block.n; ++t) {
        const std::size_t token = size(first + t - job.n_fold);
        norm_and_gate(job, head, token, block.out + size(t) * size(job.d_v));
      }
      if (!job.commit) record(job, head, block);
    }
  }

  // Fills `block` with tokens first .. first + n - 1 of (folded, then new). Everything is copied
  // together first: rows of long prompts are 32 KB apart, and a miss on each v in turn, amid the
  // recurrence that waits for it, cost a third of the time.
  static void gather(const DeltaNetJob& job, int head, int first, int n, float* scratch,
                     Block& block) {
    const std::size_t d_k = size(job.d_k);
    const std::size_t k_width = size(job.n_k_heads) * d_k;
    const std::size_t v_width = size(job.n_v_heads * job.d_v);
    const std::size_t k_at = size(head % job.n_k_heads) * d_k;
    const std::size_t v_at = size(head * job.d_v);
    float* k = scratch;
    float* q = k + kDeltaBlock * d_k;
    float* v = q + kDeltaBlock * d_k;
    float raw_beta[kDeltaBlock] = {};
    float raw_alpha[kDeltaBlock] = {};
    const int folds_left = job.n_fold - first;
    block.n = n;
    block.n_fold = folds_left < 0 ? 0 : folds_left;  // all in the first block: n_fold < kDeltaBlock
    block.k = k;
    block.q = q;
    block.v = v;
    block.out = v + kDeltaBlock * size(job.d_v);
    for (int t = 0; t < n; ++t) {
      const std::size_t i = size(t);
      if (t < block.n_fold) {
        const std::size_t gate = i * size(job.n_v_heads) + size(head);
        copy(job.fold_k + i * k_width + k_at, job.d_k, k + i * d_k);
        copy(job.pending_v + i * v_width + v_at, job.d_v, v + i * size(job.d_v));
        block.beta[t] = job.pending_beta[gate];
        block.g[t] = job.pending_g[gate];
        continue;
      }
      const std::size_t token = size(first + t - job.n_fold);
      const float* row = job.qkv + token * size(job.n_channels);
      copy(row + k_at, job.d_k, q + i * d_k);
      copy(row + k_width + k_at, job.d_k, k + i * d_k);
      copy(row + 2 * k_width + v_at, job.d_v, v + i * size(job.d_v));
      raw_beta[t] = job.beta[token * size(job.n_v_heads) + size(head)];
      raw_alpha[t] = job.alpha[token * size(job.n_v_heads) + size(head)];
    }
    gates(job, head, raw_alpha, raw_beta, block);
  }

  // beta, g and e^g of the block. Lanes of folded tokens keep the recorded beta and g.
  static void gates(const DeltaNetJob& job, int head, const float* alpha, const float* beta,
                    Block& block) {
    for (int t = 0; t < block.n; t += 16) {
      const int folded = block.n_fold - t;
      const F dt = V::add(V::load(alpha + t), V::set(job.dt_bias[head]));
      const F fresh_g = V::mul(V::set(job.a[head]), softplus_of<V>(dt));
      const F g = V::first_lanes(folded, V::load(block.g + t), fresh_g);
      V::store(block.g + t, g);
      V::store(block.decay + t, exp_of<V>(g));
      V::store(block.beta + t,
               V::first_lanes(folded, V::load(block.beta + t), sigmoid_of<V>(V::load(beta + t))));
    }
  }

  static void walk_strips(const DeltaNetJob& job, const Block& block, float* s, float* aside) {
    const std::size_t strip = size(job.d_k) * kLanes;
    int column = 0;
    for (; column + V::kStrips * 16 <= job.d_v; column += V::kStrips * 16) {
      run_strips<V::kStrips>(block, job.d_k, job.d_v, column, s + size(column / 16) * strip, aside);
    }
    for (; column < job.d_v; column += 16) {
      run_strips<1>(block, job.d_k, job.d_v, column, s + size(column / 16) * strip, aside);
    }
  }

  // All tokens of the block over kStrips neighbouring strips. With `aside` the new tokens work on
  // that copy and the state stays at the last folded token.
  template <int kStrips>
  static void run_strips(const Block& block, int d_k, int d_v, int column, float* s, float* aside) {
    F u[kStrips];
    F o[kStrips];
    F d[kStrips];
    read<kStrips>(s, d_k, block.k, u);
    const float* from = s;
    for (int t = 0; t < block.n; ++t) {
      const F decay = V::set(block.decay[t]);
      const F beta = V::set(block.beta[t]);
      for (int i = 0; i < kStrips; ++i) {
        const F v = V::load(block.v + size(t) * size(d_v) + size(column + 16 * i));
        d[i] = V::mul(beta, V::sub(v, V::mul(decay, u[i])));
      }
      const bool is_new = t >= block.n_fold;
      float* to = is_new && aside != nullptr ? aside : s;
      const float* k = block.k + size(t) * size(d_k);
      const float* q = block.q + size(t) * size(d_k);
      const float* next = k + d_k;
      const bool is_last = t + 1 == block.n;
      if (!is_new && !is_last) {
        update<kStrips, false, true>(from, to, d_k, decay, k, d, q, o, next, u);
      } else if (!is_new) {
        update<kStrips, false, false>(from, to, d_k, decay, k, d, q, o, next, u);
      } else if (!is_last) {
        update<kStrips, true, true>(from, to, d_k, decay, k, d, q, o, next, u);
      } else {
        update<kStrips, true, false>(from, to, d_k, decay, k, d, q, o, next, u);
      }
      if (is_new) {
        for (int i = 0; i < kStrips; ++i)
          V::store(block.out + size(t) * size(d_v) + size(column + 16 * i), o[i]);
      }
      from = to;
    }
  }

  // u = s^T k
  template <int kStrips>
  static void read(const float* s, int d_k, const float* k, F* u) {
    const std::size_t strip = size(d_k) * kLanes;
    F sums[2][kStrips];
    for (int i = 0; i < kStrips; ++i) sums[0][i] = sums[1][i] = V::zero();
    for (int row = 0; row < d_k; row += 2) {
      for (int odd = 0; odd < 2; ++odd) {
        const F key = V::set(k[row + odd]);
        for (int i = 0; i < kStrips; ++i) {
          const F cell = V::load(s + size(i) * strip + size(row + odd) * kLanes);
          sums[odd][i] = V::fma(cell, key, sums[odd][i]);
        }
      }
    }
    for (int i = 0; i < kStrips; ++i) u[i] = V::add(sums[0][i], sums[1][i]);
  }

  // to = decay * from + k d^T;  with kOut o = to^T q;  with kNext u = to^T next.
  template <int kStrips, bool kOut, bool kNext>
  static void update(const float* from, float* to, int d_k, F decay, const float* k, const F* d,
                     const float* q, F* o, const float* next, F* u) {
    const std::size_t strip = size(d_k) * kLanes;
    F o_sums[2][kStrips];
    F u_sums[2][kStrips];
    F add[kStrips];
    for (int i = 0; i < kStrips; ++i) {
      o_sums[0][i] = o_sums[1][i] = u_sums[0][i] = u_sums[1][i] = V::zero();
      add[i] = d[i];
    }
    for (int row = 0; row < d_k; row += 2) {
      // All loads before the stores: neighbouring strips are a multiple of 4 KB apart, and a load
      // that follows a store to the same offset of another page waits for it.
      F cells[2][kStrips];
      for (int odd = 0; odd < 2; ++odd) {
        for (int i = 0; i < kStrips; ++i) {
          cells[odd][i] = V::load(from + size(i) * strip + size(row + odd) * kLanes);
        }
      }
      for (int odd = 0; odd < 2; ++odd) {
        const F key = V::set(k[row + odd]);
        for (int i = 0; i < kStrips; ++i) {
          const F cell = V::fma(key, add[i], V::mul(decay, cells[odd][i]));
          V::store(to + size(i) * strip + size(row + odd) * kLanes, cell);
          if constexpr (kOut) o_sums[odd][i] = V::fma(cell, V::set(q[row + odd]), o_sums[odd][i]);
          if constexpr (kNext) {
            u_sums[odd][i] = V::fma(cell, V::set(next[row + odd]), u_sums[odd][i]);
          }
        }
      }
    }
    for (int i = 0; i < kStrips; ++i) {
      if constexpr (kOut) o[i] = V::add(o_sums[0][i], o_sums[1][i]);
      if constexpr (kNext) u[i] = V::add(u_sums[0][i], u_sums[1][i]);
    }
  }

  // The token's output <- o * (mean(o^2) + eps)^(-1/2) * norm * silu(z)
  static void norm_and_gate(const DeltaNetJob& job, int head, std::size_t token, const float* o) {
    const std::size_t row = token * size(job.n_v_heads * job.d_v) + size(head * job.d_v);
    const float* z = job.z + row;
    float* out = job.out + row;
    F sum = V::zero();
    for (int i = 0; i < job.d_v; i += 16) sum = V::fma(V::load(o + i), V::load(o + i), sum);
    const float mean = V::sum(sum) / static_cast<float>(job.d_v);
    const F factor = V::set(1.0F / __builtin_sqrtf(mean + job.eps));
    for (int i = 0; i < job.d_v; i += 16) {
      const F normed = V::mul(V::mul(V::load(o + i), factor), V::load(job.norm + i));
      V::store(out + i, V::mul(normed, silu_of<V>(V::load(z + i))));
    }
  }

  // The new tokens become the pending ones (their keys are recorded by key_head).
  static void record(const DeltaNetJob& job, int head, const Block& block) {
    for (int t = block.n_fold; t < block.n; ++t) {
      const std::size_t i = size(t - block.n_fold);
      const std::size_t gate = i * size(job.n_v_heads) + size(head);
      copy(block.v + size(t) * size(job.d_v), job.d_v,
           job.pending_v + i * size(job.n_v_heads * job.d_v) + size(head * job.d_v));
      job.pending_beta[gate] = block.beta[t];
      job.pending_g[gate] = block.g[t];
    }
  }
};

}  // namespace
}  // namespace foretoken::kernels
