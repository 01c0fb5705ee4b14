// Storing keys and values, and gated softmax attention, as written in ops.h: all scores of a query
// first, then the softmax, then the weighted sum of values.
// Source: docs/attention.md; Qwen3.5's gated attention with partial rotary embedding.
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/kv_codec.h"
#include "kernels/reference/reference_ops.h"

namespace foretoken::kernels {
namespace {

// rope(rms_norm(x; norm)) of one head of token `t`.
std::vector<float> norm_and_rotate(const float* x, const float* norm, float eps, int head_dim,
                                   const RopeAngles& rope, int t) {
  double sum = 0.0;
  for (int i = 0; i < head_dim; ++i) sum += static_cast<double>(x[i]) * x[i];
  const double scale = 1.0 / std::sqrt(sum / head_dim + static_cast<double>(eps));
  std::vector<double> y(static_cast<std::size_t>(head_dim));
  for (int i = 0; i < head_dim; ++i) y[static_cast<std::size_t>(i)] = x[i] * scale * norm[i];
  for (int pair = 0; pair < rope.n_pairs; ++pair) {
    const auto i = static_cast<std::size_t>(pair);
    const auto j = static_cast<std::size_t>(pair + rope.n_pairs);
    const std::size_t angle =
        static_cast<std::size_t>(t) * static_cast<std::size_t>(rope.n_pairs) + i;
    const double a = y[i];
    const double b = y[j];
    y[i] = a * rope.cos[angle] - b * rope.sin[angle];
    y[j] = b * rope.cos[angle] + a * rope.sin[angle];
  }
  std::vector<float> rounded(y.size());
  std::transform(y.begin(), y.end(), rounded.begin(),
                 [](double v) { return static_cast<float>(v); });
  return rounded;
}

// The stored keys and values of one head, positions 0 .. n - 1, decoded: [n][head_dim].
struct DecodedHead {
  std::vector<float> keys;
  std::vector<float> values;
};

DecodedHead decode_head(const KvView& kv, int head, int n_positions) {
  const auto width = static_cast<std::size_t>(kv.head_dim);
  DecodedHead decoded;
  decoded.keys.resize(static_cast<std::size_t>(n_positions) * width);
  decoded.values.resize(decoded.keys.size());
  for (int pos = 0; pos < n_positions; ++pos) {
    const std::size_t at = static_cast<std::size_t>(pos) * width;
    decode_key(kv.key_type, kv.key_tile(head, pos / kKvTile), kv.head_dim, pos % kKvTile,
               decoded.keys.data() + at);
    decode_value(kv.value_type, kv.value_tile(head, pos / kKvTile), kv.head_dim, pos % kKvTile,
                 decoded.values.data() + at);
  }
  return decoded;
}

// softmax(q . k_j * head_dim^(-1/2)) over the first n_visible positions.
std::vector<double> attention_weights(const std::vector<float>& q, const std::vector<float>& keys,
                                      int n_visible) {
  const std::size_t width = q.size();
  const double scale = 1.0 / std::sqrt(static_cast<double>(width));
  std::vector<double> weights(static_cast<std::size_t>(n_visible));
  for (std::size_t j = 0; j < weights.size(); ++j) {
    double dot = 0.0;
    for (std::size_t i = 0; i < width; ++i) dot += static_cast<double>(q[i]) * keys[j * width + i];
    weights[j] = dot * scale;
  }
  const double largest = *std::max_element(weights.begin(), weights.end());
  double sum = 0.0;
  for (double& w : weights) {
    w = std::exp(w - largest);
    sum += w;
  }
  for (double& w : weights) w /= sum;
  return weights;
}

}  // namespace

void ReferenceOps::store_kv(const StoreKvArgs& args) {
  const KvView& kv = args.kv;
  for (int t = 0; t < args.n; ++t) {
    for (int head = 0; head < kv.n_kv_heads; ++head) {
      const std::size_t row =
          (static_cast<std::size_t>(t) * static_cast<std::size_t>(kv.n_kv_heads) +
           static_cast<std::size_t>(head)) *
          static_cast<std::size_t>(kv.head_dim);
      const int tile = (args.first_pos + t) / kKvTile;
      const int slot = (args.first_pos + t) % kKvTile;
      const std::vector<float> k =
          norm_and_rotate(args.k + row, args.k_norm, args.eps, kv.head_dim, args.rope, t);
      encode_key(kv.key_type, k.data(), kv.head_dim, slot, kv.key_tile(head, tile));
      encode_value(kv.value_type, args.v + row, kv.head_dim, slot, kv.value_tile(head, tile));
    }
  }
}

void ReferenceOps::attend(const AttendArgs& args) {
  const KvView& kv = args.kv;
  const auto width = static_cast<std::size_t>(kv.head_dim);
  const int group = args.n_heads / kv.n_kv_heads;
  for (int kv_head = 0; kv_head < kv.n_kv_heads; ++kv_head) {
    const DecodedHead decoded = decode_head(kv, kv_head, args.first_pos + args.n);
    for (int t = 0; t < args.n; ++t) {
      for (int head = kv_head * group; head < (kv_head + 1) * group; ++head) {
        const std::size_t row =
            static_cast<std::size_t>(t) * static_cast<std::size_t>(args.n_heads) +
            static_cast<std::size_t>(head);
        const float* query = args.q_gate + row * 2 * width;
        const float* gate = query + width;
        const std::vector<float> q =
            norm_and_rotate(query, args.q_norm, args.eps, kv.head_dim, args.rope, t);
        const std::vector<double> weights =
            attention_weights(q, decoded.keys, args.first_pos + t + 1);
        for (std::size_t i = 0; i < width; ++i) {
          double sum = 0.0;
          for (std::size_t j = 0; j < weights.size(); ++j) {
            sum += weights[j] * decoded.values[j * width + i];
          }
          const double open = 1.0 / (1.0 + std::exp(-static_cast<double>(gate[i])));
          args.out[row * width + i] = static_cast<float>(sum * open);
        }
      }
    }
  }
}

}  // namespace foretoken::kernels
