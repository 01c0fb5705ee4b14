#include "model/qwen35/mtp_head.h"

#include <array>
#include <cstring>

namespace foretoken::model::qwen35 {

MtpHead::MtpHead(const Weights& weights, kernels::Ops& ops)
    : weights_(weights), mtp_(*weights.mtp()), ops_(ops) {}

void MtpHead::Pairs::clear() {
  next_tokens.clear();
  hidden.clear();
  rope.clear();
  parts.clear();
}

void MtpHead::Pairs::add_text(int first_pos, std::span<const float* const> rows,
                              std::span<const TokenId> next, const cache::KvCache& kv) {
  next_tokens.insert(next_tokens.end(), next.begin(), next.end());
  hidden.insert(hidden.end(), rows.begin(), rows.end());
  const int end = first_pos + static_cast<int>(next.size());
  for (int p = first_pos; p < end; ++p) rope.push_back({p, p, p});
  parts.push_back({.n = end - first_pos, .first_pos = first_pos, .kv = &kv});
}

// workspace.x <- W_eh [norm(embedding), norm(hidden)]
void MtpHead::join(const Pairs& pairs, Workspace& w) const {
  const Config& c = weights_.config();
  const int n = pairs.n();
  const auto width = static_cast<std::size_t>(c.d_model);
  // Rows of x become one half of the joined rows: 0 the embeddings', 1 the hidden rows'.
  const auto put_half = [&](std::size_t half) {
    for (std::size_t t = 0; t < pairs.hidden.size(); ++t) {
      std::memcpy(w.joined.data() + (2 * t + half) * width, w.x.data() + t * width,
                  width * sizeof(float));
    }
  };
  weights_.embed(pairs.next_tokens, w.x.data(), mtp_.own_embedding);
  ops_.rms_norm({w.x.data(), n, c.d_model, mtp_.embed_norm.data(), c.eps}, w.x.data());
  put_half(0);
  for (std::size_t t = 0; t < pairs.hidden.size(); ++t) {
    std::memcpy(w.x.data() + t * width, pairs.hidden[t], width * sizeof(float));
  }
  ops_.rms_norm({w.x.data(), n, c.d_model, mtp_.hidden_norm.data(), c.eps}, w.x.data());
  put_half(1);
  const kernels::Rows in{w.joined.data(), n, 2 * c.d_model};
  ops_.project(in, std::array{kernels::Projection{mtp_.eh_proj.get(), w.x.data()}});
}

void MtpHead::store_pairs(const Pairs& pairs, Workspace& w) const {
  const Config& c = weights_.config();
  const AttentionWeights& mixer = *mtp_.layer.attention;
  const kernels::Rows in{w.x.data(), pairs.n(), c.d_model, mtp_.layer.attn_norm.data(), c.eps};
  ops_.project(in, std::array{kernels::Projection{mixer.k.get(), w.k.data()},
                              kernels::Projection{mixer.v.get(), w.v.data()}});
  store_keys_and_values(ops_, c, {mtp_.layer}, pairs.parts, w);
}

void MtpHead::catch_up(const Pairs& pairs, Workspace& w) const {
  w.rope.set(pairs.rope);
  join(pairs, w);
  store_pairs(pairs, w);
}

void MtpHead::step(const Pairs& pairs, Workspace& w, float* hidden_out) const {
  const Config& c = weights_.config();
  const auto width = static_cast<std::size_t>(c.d_model);
  w.rope.set(pairs.rope);
  join(pairs, w);
  std::vector<PassPart> last = pairs.parts;
  const auto n_parts = static_cast<int>(last.size());
  if (pairs.n() > n_parts) {
    // All but the last pair of a part only feed the cache; the last ones go on, moved to the front.
    store_pairs(pairs, w);
    std::vector<RopePosition> rope;
    std::size_t end = 0;
    for (std::size_t i = 0; i < last.size(); ++i) {
      end += static_cast<std::size_t>(last[i].n);
      std::memmove(w.x.data() + i * width, w.x.data() + (end - 1) * width, width * sizeof(float));
      rope.push_back(pairs.rope[end - 1]);
      last[i].first_pos += last[i].n - 1;
      last[i].n = 1;
    }
    w.rope.set(rope);
  }
  attention_layer(ops_, c, {mtp_.layer}, last, w);
  ffn_layer(ops_, c, mtp_.layer, n_parts, w);
  ops_.rms_norm({w.x.data(), n_parts, c.d_model, mtp_.head_norm.data(), c.eps}, hidden_out);
}

void MtpHead::forward(const Pairs& pairs, Workspace& w, float* hidden_out) const {
  const Config& c = weights_.config();
  w.rope.set(pairs.rope);
  join(pairs, w);
  attention_layer(ops_, c, {mtp_.layer}, pairs.parts, w);
  ffn_layer(ops_, c, mtp_.layer, pairs.n(), w);
  ops_.rms_norm({w.x.data(), pairs.n(), c.d_model, mtp_.head_norm.data(), c.eps}, hidden_out);
}

void MtpHead::logits(const float* hidden, int n, std::span<const kernels::RowRange> rows,
                     float* out) const {
  const kernels::Matrix& output = mtp_.own_output ? *mtp_.own_output : weights_.output();
  ops_.project_rows({hidden, n, weights_.config().d_model}, output, rows, out);
}

}  // namespace foretoken::model::qwen35
