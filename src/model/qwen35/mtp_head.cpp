#include "model/qwen35/mtp_head.h"

#include <array>
#include <cstring>

namespace foretoken::model::qwen35 {

MtpHead::MtpHead(const Weights& weights, kernels::Ops& ops)
    : weights_(weights), mtp_(*weights.mtp()), ops_(ops) {}

// workspace.x <- W_eh [norm(embedding), norm(hidden)]
void MtpHead::join(const Pairs& pairs, Workspace& w) const {
  const Config& c = weights_.config();
  const int n = static_cast<int>(pairs.next_tokens.size());
  const auto width = static_cast<std::size_t>(c.d_model);
  weights_.embed(pairs.next_tokens, w.x.data(), mtp_.own_embedding);
  ops_.rms_norm({w.x.data(), n, c.d_model, mtp_.embed_norm.data(), c.eps}, w.x.data());
  for (std::size_t t = 0; t < pairs.next_tokens.size(); ++t) {
    std::memcpy(w.joined.data() + 2 * t * width, w.x.data() + t * width, width * sizeof(float));
  }
  ops_.rms_norm({pairs.hidden, n, c.d_model, mtp_.hidden_norm.data(), c.eps}, w.x.data());
  for (std::size_t t = 0; t < pairs.next_tokens.size(); ++t) {
    std::memcpy(w.joined.data() + (2 * t + 1) * width, w.x.data() + t * width,
                width * sizeof(float));
  }
  const kernels::Rows in{w.joined.data(), n, 2 * c.d_model};
  ops_.project(in, std::array{kernels::Projection{mtp_.eh_proj.get(), w.x.data()}});
}

void MtpHead::store_pairs(const Pairs& pairs, const cache::KvCache& kv, Workspace& w) const {
  const Config& c = weights_.config();
  const AttentionWeights& mixer = *mtp_.layer.attention;
  const int n = static_cast<int>(pairs.next_tokens.size());
  const kernels::Rows in{w.x.data(), n, c.d_model, mtp_.layer.attn_norm.data(), c.eps};
  ops_.project(in, std::array{kernels::Projection{mixer.k.get(), w.k.data()},
                              kernels::Projection{mixer.v.get(), w.v.data()}});
  store_keys_and_values(ops_, c, mtp_.layer, kv.view(0), pairs.first_pos, n, w);
}

void MtpHead::catch_up(const Pairs& pairs, const cache::KvCache& kv, Workspace& w) const {
  w.rope.set(pairs.rope);
  join(pairs, w);
  store_pairs(pairs, kv, w);
}

void MtpHead::step(const Pairs& pairs, const cache::KvCache& kv, Workspace& w,
                   float* hidden_out) const {
  const Config& c = weights_.config();
  const std::size_t last = pairs.next_tokens.size() - 1;
  const auto width = static_cast<std::size_t>(c.d_model);
  w.rope.set(pairs.rope);
  join(pairs, w);
  if (last > 0) {
    store_pairs(pairs, kv, w);
    std::memmove(w.x.data(), w.x.data() + last * width, width * sizeof(float));
    w.rope.set(pairs.rope.subspan(last));
  }
  attention_layer(ops_, c, mtp_.layer, kv.view(0), pairs.first_pos + static_cast<int>(last), 1, w);
  ffn_layer(ops_, c, mtp_.layer, 1, w);
  ops_.rms_norm({w.x.data(), 1, c.d_model, mtp_.head_norm.data(), c.eps}, hidden_out);
}

void MtpHead::forward(const Pairs& pairs, const cache::KvCache& kv, Workspace& w,
                      float* hidden_out) const {
  const Config& c = weights_.config();
  const int n = static_cast<int>(pairs.next_tokens.size());
  w.rope.set(pairs.rope);
  join(pairs, w);
  attention_layer(ops_, c, mtp_.layer, kv.view(0), pairs.first_pos, n, w);
  ffn_layer(ops_, c, mtp_.layer, n, w);
  ops_.rms_norm({w.x.data(), n, c.d_model, mtp_.head_norm.data(), c.eps}, hidden_out);
}

void MtpHead::logits(const float* hidden, std::span<const kernels::RowRange> rows,
                     float* out) const {
  const kernels::Matrix& output = mtp_.own_output ? *mtp_.own_output : weights_.output();
  ops_.project_rows({hidden, 1, weights_.config().d_model}, output, rows, out);
}

}  // namespace foretoken::model::qwen35
