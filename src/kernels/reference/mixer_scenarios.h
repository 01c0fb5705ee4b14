// Test support: random delta-net layers and attention caches that any backend can be run on, one
// call after another, as a session would do it.
#pragma once

#include <cmath>
#include <cstdint>
#include <new>
#include <random>
#include <vector>

#include "kernels/ops.h"

namespace foretoken::kernels::testing {

/// Seeded source of numbers; the same sequence everywhere for the engine, near enough for normals.
class Random {
 public:
  explicit Random(std::uint32_t seed) : engine_(seed) {}
  float normal(float deviation = 1.0F) {
    return std::normal_distribution<float>(0.0F, deviation)(engine_);
  }
  int between(int low, int high) {  // inclusive
    return low + static_cast<int>(engine_() % static_cast<std::uint32_t>(high - low + 1));
  }
  std::vector<float> normals(std::size_t n, float deviation = 1.0F, float mean = 0.0F) {
    std::vector<float> values(n);
    for (float& v : values) v = mean + normal(deviation);
    return values;
  }

 private:
  std::mt19937 engine_;
};

/// Weights of a delta-net layer and the inputs of a stretch of tokens.
struct DeltaNetLayer {
  DeltaNetShape shape;
  int n_tokens = 0;
  std::vector<float> qkv, z, alpha, beta;     // per token
  std::vector<float> conv, a, dt_bias, norm;  // weights

  DeltaNetLayer(Random& random, DeltaNetShape layer_shape, int tokens)
      : shape(layer_shape), n_tokens(tokens) {
    const auto n = static_cast<std::size_t>(tokens);
    const auto heads = static_cast<std::size_t>(shape.n_v_heads);
    const auto channels = static_cast<std::size_t>(shape.n_channels());
    qkv = random.normals(n * channels);
    z = random.normals(n * heads * static_cast<std::size_t>(shape.d_v));
    alpha = random.normals(n * heads, 2.0F);
    beta = random.normals(n * heads, 2.0F);
    conv = random.normals(channels * 4, 0.5F);
    a = random.normals(heads);
    for (float& v : a) v = -std::exp(v);
    dt_bias = random.normals(heads);
    norm = random.normals(static_cast<std::size_t>(shape.d_v), 0.1F, 1.0F);
  }
};

/// Vector at the alignment that the real caches have; unaligned ones cost a third of the speed.
template <class T>
struct AlignedAllocator {
  using value_type = T;
  AlignedAllocator() = default;
  template <class U>
  AlignedAllocator(const AlignedAllocator<U>&) {}
  T* allocate(std::size_t n) {
    return static_cast<T*>(::operator new (n * sizeof(T), std::align_val_t{64}));
  }
  void deallocate(T* p, std::size_t) { ::operator delete (p, std::align_val_t{64}); }
  bool operator==(const AlignedAllocator&) const { return true; }
};
template <class T>
using AlignedVector = std::vector<T, AlignedAllocator<T>>;

/// Owned state of one layer, zero at the start.
struct DeltaNetMemory {
  AlignedVector<float> s, ring, k, v, beta, g;

  explicit DeltaNetMemory(const DeltaNetShape& shape)
      : s(shape.state_size()),
        ring(static_cast<std::size_t>(kConvRing * shape.n_channels())),
        k(static_cast<std::size_t>(kMaxPending * shape.n_k_heads * shape.d_k)),
        v(static_cast<std::size_t>(kMaxPending * shape.n_v_heads * shape.d_v)),
        beta(static_cast<std::size_t>(kMaxPending * shape.n_v_heads)),
        g(beta.size()) {}

  DeltaNetState view() {
    return {s.data(), ring.data(), k.data(), v.data(), beta.data(), g.data()};
  }
};

/// Which tokens of a layer one call takes, and what becomes of them.
struct DeltaNetCall {
  int first = 0;  ///< position, and index into the layer's inputs
  int n = 0;
  int n_fold = 0;
  bool commit = true;
};

/// Arguments for tokens [first, first + n), without qkv and out, which are the caller's to provide.
inline DeltaNetArgs delta_net_args(const DeltaNetLayer& layer, DeltaNetMemory& memory,
                                   DeltaNetCall call) {
  const auto first = static_cast<std::size_t>(call.first);
  const auto heads = static_cast<std::size_t>(layer.shape.n_v_heads);
  DeltaNetArgs args;
  args.shape = layer.shape;
  args.z = layer.z.data() + first * heads * static_cast<std::size_t>(layer.shape.d_v);
  args.alpha = layer.alpha.data() + first * heads;
  args.beta = layer.beta.data() + first * heads;
  args.conv = layer.conv.data();
  args.a = layer.a.data();
  args.dt_bias = layer.dt_bias.data();
  args.norm = layer.norm.data();
  args.eps = 1e-6F;
  args.n = call.n;
  args.first_pos = call.first;
  args.n_fold = call.n_fold;
  args.commit = call.commit;
  args.state = memory.view();
  return args;
}

/// Runs tokens [first, first + n) and returns their outputs.
inline std::vector<float> run_delta_net(Ops& ops, const DeltaNetLayer& layer,
                                        DeltaNetMemory& memory, DeltaNetCall call) {
  const auto first = static_cast<std::size_t>(call.first);
  const auto n = static_cast<std::size_t>(call.n);
  const auto channels = static_cast<std::size_t>(layer.shape.n_channels());
  std::vector<float> qkv(layer.qkv.data() + first * channels,
                         layer.qkv.data() + (first + n) * channels);
  std::vector<float> out(n * static_cast<std::size_t>(layer.shape.n_v_heads * layer.shape.d_v));
  DeltaNetArgs args = delta_net_args(layer, memory, call);
  args.qkv = qkv.data();
  args.out = out.data();
  ops.delta_net(args);
  return out;
}

/// Sizes and types of an attention layer.
struct AttentionShape {
  int n_heads = 4;
  int n_kv_heads = 2;
  int head_dim = 64;
  int n_pairs = 8;
  quant::Type key_type = quant::Type::F16;
  quant::Type value_type = quant::Type::F16;
};

/// Weights and inputs of an attention layer for positions 0 .. n_tokens - 1.
struct AttentionLayer {
  AttentionShape shape;
  int n_tokens = 0;
  std::vector<float> q_gate, k, v, q_norm, k_norm, cos, sin;

  AttentionLayer(Random& random, AttentionShape layer_shape, int tokens)
      : shape(layer_shape), n_tokens(tokens) {
    const auto n = static_cast<std::size_t>(tokens);
    const auto d = static_cast<std::size_t>(shape.head_dim);
    const auto pairs = static_cast<std::size_t>(shape.n_pairs);
    q_gate = random.normals(n * static_cast<std::size_t>(shape.n_heads) * 2 * d);
    k = random.normals(n * static_cast<std::size_t>(shape.n_kv_heads) * d);
    v = random.normals(k.size());
    q_norm = random.normals(d, 0.3F, 1.0F);
    k_norm = random.normals(d, 0.3F, 1.0F);
    cos.resize(n * pairs);
    sin.resize(n * pairs);
    set_positions(0.0);
  }

  /// Angles of text: position * 10^(-i), pair i; positions count from `origin`.
  void set_positions(double origin) {
    const auto pairs = static_cast<std::size_t>(shape.n_pairs);
    for (std::size_t t = 0; t < static_cast<std::size_t>(n_tokens); ++t) {
      for (std::size_t i = 0; i < pairs; ++i) {
        const double angle =
            (origin + static_cast<double>(t)) * std::pow(10.0, -static_cast<double>(i));
        cos[t * pairs + i] = static_cast<float>(std::cos(angle));
        sin[t * pairs + i] = static_cast<float>(std::sin(angle));
      }
    }
  }

  RopeAngles angles(int first) const {
    const auto at = static_cast<std::size_t>(first) * static_cast<std::size_t>(shape.n_pairs);
    return {cos.data() + at, sin.data() + at, shape.n_pairs};
  }
};

/// Owned cache of one layer. The pages lie in memory last first, so that nobody can take them for
/// one stretch.
struct AttentionMemory {
  AlignedVector<std::byte> bytes;  // [pages][keys, then values]
  std::vector<std::byte*> pages;
  KvView view;

  AttentionMemory(const AttentionShape& shape, int capacity) {
    view.key_type = shape.key_type;
    view.value_type = shape.value_type;
    view.n_kv_heads = shape.n_kv_heads;
    view.head_dim = shape.head_dim;
    const auto tiles = static_cast<std::size_t>(kKvPageTiles * shape.n_kv_heads);
    const auto n_pages = static_cast<std::size_t>(kv_pages(capacity));
    view.value_offset = tiles * kv_tile_bytes(shape.key_type, shape.head_dim);
    page_bytes_ = view.value_offset + tiles * kv_tile_bytes(shape.value_type, shape.head_dim);
    bytes.resize(n_pages * page_bytes_);
    for (std::size_t page = n_pages; page-- > 0;) {
      pages.push_back(bytes.data() + page * page_bytes_);
    }
    view.pages = pages.data();
  }

  /// The keys, or the values, of all pages one after another.
  std::vector<std::byte> keys() const { return parts(0, view.value_offset); }
  std::vector<std::byte> values() const { return parts(view.value_offset, page_bytes_); }

 private:
  std::vector<std::byte> parts(std::size_t begin, std::size_t end) const {
    std::vector<std::byte> out;
    for (const std::byte* page : pages) out.insert(out.end(), page + begin, page + end);
    return out;
  }

  std::size_t page_bytes_ = 0;
};

/// Stores tokens [first, first + n).
inline void run_store(Ops& ops, const AttentionLayer& layer, AttentionMemory& memory, int first,
                      int n) {
  const std::size_t row = static_cast<std::size_t>(first) *
                          static_cast<std::size_t>(layer.shape.n_kv_heads) *
                          static_cast<std::size_t>(layer.shape.head_dim);
  ops.store_kv({.k = layer.k.data() + row,
                .v = layer.v.data() + row,
                .k_norm = layer.k_norm.data(),
                .eps = 1e-6F,
                .rope = layer.angles(first),
                .n = n,
                .first_pos = first,
                .kv = memory.view});
}

/// Attends with the queries of tokens [first, first + n) and returns the outputs.
inline std::vector<float> run_attend(Ops& ops, const AttentionLayer& layer, AttentionMemory& memory,
                                     int first, int n) {
  const std::size_t width = static_cast<std::size_t>(layer.shape.n_heads) *
                            static_cast<std::size_t>(layer.shape.head_dim);
  std::vector<float> out(static_cast<std::size_t>(n) * width);
  ops.attend({.q_gate = layer.q_gate.data() + static_cast<std::size_t>(first) * 2 * width,
              .q_norm = layer.q_norm.data(),
              .eps = 1e-6F,
              .rope = layer.angles(first),
              .n = n,
              .first_pos = first,
              .n_heads = layer.shape.n_heads,
              .kv = memory.view,
              .out = out.data()});
  return out;
}

}  // namespace foretoken::kernels::testing
