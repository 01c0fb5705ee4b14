#include "model/qwen35/text_model.h"

#include <algorithm>
#include <array>

namespace foretoken::model::qwen35 {
namespace {

std::size_t area(int n, int width) {
  return static_cast<std::size_t>(n) * static_cast<std::size_t>(width);
}

// The part of the arguments that a layer's weights decide.
kernels::DeltaNetArgs delta_net_args(const Config& config, const DeltaNetWeights& mixer) {
  kernels::DeltaNetArgs args;
  args.shape = config.delta;
  args.conv = mixer.conv.data();
  args.a = mixer.a.data();
  args.dt_bias = mixer.dt_bias.data();
  args.norm = mixer.norm.data();
  args.eps = config.eps;
  return args;
}

// The mixer itself over one sequence's rows, which begin at row `first`: in one call, or cut where
// a copy of the state is wanted (a row's bits do not depend on the cut).
void mix_sequence(kernels::Ops& ops, kernels::DeltaNetArgs args, const PassPart& part, int layer,
                  int first, Workspace& w) {
  const kernels::DeltaNetShape& shape = args.shape;
  args.n_fold = part.n_fold;
  args.commit = part.commit;
  args.state = part.recurrent->view(layer);
  int done = 0;
  const auto run_to = [&](int end) {
    const int row = first + done;
    args.qkv = w.wide.data() + area(row, shape.n_channels());
    args.z = w.gate.data() + area(row, shape.n_v_heads * shape.d_v);
    args.alpha = w.k.data() + area(row, shape.n_v_heads);
    args.beta = w.v.data() + area(row, shape.n_v_heads);
    args.out = w.mixed.data() + area(row, shape.n_v_heads * shape.d_v);
    args.n = end - done;
    args.first_pos = part.first_pos + done;
    ops.delta_net(args);
    args.n_fold = 0;
    done = end;
  };
  for (const StateCopy& copy : part.copies) {
    run_to(copy.n_rows);
    part.recurrent->copy_layer(layer, part.first_pos + copy.n_rows, *copy.into);
  }
  if (done < part.n) run_to(part.n);
}

void delta_net_layer(kernels::Ops& ops, const Config& config, const Layer& layer, int index,
                     std::span<const PassPart> parts, Workspace& w) {
  const DeltaNetWeights& mixer = *layer.delta_net;
  const int n = count_rows(parts);
  const kernels::Rows in{w.x.data(), n, config.d_model, layer.attn_norm.data(), config.eps};
  ops.project(in, std::array{kernels::Projection{mixer.qkv.get(), w.wide.data()},
                             kernels::Projection{mixer.gate.get(), w.gate.data()},
                             kernels::Projection{mixer.alpha.get(), w.k.data()},
                             kernels::Projection{mixer.beta.get(), w.v.data()}});
  int first = 0;
  for (const PassPart& part : parts) {
    mix_sequence(ops, delta_net_args(config, mixer), part, index, first, w);
    first += part.n;
  }
  const kernels::Rows mixed{w.mixed.data(), n, config.delta.n_v_heads * config.delta.d_v};
  ops.project(mixed, std::array{kernels::Projection{mixer.out.get(), w.x.data(), true}});
}

}  // namespace

Workspace::Workspace(const Config& c, int n)
    : max_tokens(n),
      rope(c),
      x(area(n, c.d_model)),
      wide(area(n, std::max(2 * c.n_heads * c.head_dim, c.delta.n_channels()))),
      k(area(n, std::max(c.n_kv_heads * c.head_dim, c.delta.n_v_heads))),
      v(area(n, std::max(c.n_kv_heads * c.head_dim, c.delta.n_v_heads))),
      gate(area(n, c.delta.n_v_heads * c.delta.d_v)),
      mixed(area(n, std::max(c.n_heads * c.head_dim, c.delta.n_v_heads * c.delta.d_v))),
      ffn(area(n, c.d_ff)),
      joined(area(n, 2 * c.d_model)) {}

int count_rows(std::span<const PassPart> parts) {
  int n = 0;
  for (const PassPart& part : parts) n += part.n;
  return n;
}

void store_keys_and_values(kernels::Ops& ops, const Config& config, const AttentionLayer& at,
                           std::span<const PassPart> parts, Workspace& w) {
  int row = 0;
  for (const PassPart& part : parts) {
    kernels::StoreKvArgs store;
    store.k = w.k.data() + area(row, config.n_kv_heads * config.head_dim);
    store.v = w.v.data() + area(row, config.n_kv_heads * config.head_dim);
    store.k_norm = at.layer.attention->k_norm.data();
    store.eps = config.eps;
    store.rope = w.rope.angles(row);
    store.n = part.n;
    store.first_pos = part.first_pos;
    store.kv = part.kv->view(at.kv_layer);
    ops.store_kv(store);
    row += part.n;
  }
}

void attention_layer(kernels::Ops& ops, const Config& config, const AttentionLayer& at,
                     std::span<const PassPart> parts, Workspace& w) {
  const AttentionWeights& mixer = *at.layer.attention;
  const int n = count_rows(parts);
  const kernels::Rows in{w.x.data(), n, config.d_model, at.layer.attn_norm.data(), config.eps};
  ops.project(in, std::array{kernels::Projection{mixer.q.get(), w.wide.data()},
                             kernels::Projection{mixer.k.get(), w.k.data()},
                             kernels::Projection{mixer.v.get(), w.v.data()}});
  store_keys_and_values(ops, config, at, parts, w);
  int row = 0;
  for (const PassPart& part : parts) {
    kernels::AttendArgs attend;
    attend.q_gate = w.wide.data() + area(row, 2 * config.n_heads * config.head_dim);
    attend.q_norm = mixer.q_norm.data();
    attend.eps = config.eps;
    attend.rope = w.rope.angles(row);
    attend.n = part.n;
    attend.first_pos = part.first_pos;
    attend.n_heads = config.n_heads;
    attend.kv = part.kv->view(at.kv_layer);
    attend.out = w.mixed.data() + area(row, config.n_heads * config.head_dim);
    ops.attend(attend);
    row += part.n;
  }
  const kernels::Rows mixed{w.mixed.data(), n, config.n_heads * config.head_dim};
  ops.project(mixed, std::array{kernels::Projection{mixer.out.get(), w.x.data(), true}});
}

void ffn_layer(kernels::Ops& ops, const Config& config, const Layer& layer, int n, Workspace& w) {
  const kernels::Rows in{w.x.data(), n, config.d_model, layer.ffn_norm.data(), config.eps};
  ops.project_swiglu(in, *layer.ffn_gate, *layer.ffn_up, w.ffn.data());
  const kernels::Rows inner{w.ffn.data(), n, config.d_ff};
  ops.project(inner, std::array{kernels::Projection{layer.ffn_down.get(), w.x.data(), true}});
}

void TextModel::forward(std::span<const TokenId> tokens, std::span<const RopePosition> rope,
                        std::span<const PassPart> parts, Workspace& w, float* hidden) const {
  const Config& c = config();
  const int n = static_cast<int>(tokens.size());
  w.rope.set(rope);
  weights_.embed(tokens, w.x.data());
  int recurrent_index = 0;
  int attention_index = 0;
  for (const Layer& layer : weights_.layers()) {
    if (layer.delta_net) {
      delta_net_layer(ops_, c, layer, recurrent_index++, parts, w);
    } else {
      attention_layer(ops_, c, {layer, attention_index++}, parts, w);
    }
    ffn_layer(ops_, c, layer, n, w);
  }
  ops_.rms_norm({w.x.data(), n, c.d_model, weights_.output_norm(), c.eps}, hidden);
}

void TextModel::fold(int pos, int n_fold, const cache::RecurrentState& recurrent) const {
  int recurrent_index = 0;
  for (const Layer& layer : weights_.layers()) {
    if (!layer.delta_net) continue;
    kernels::DeltaNetArgs args = delta_net_args(config(), *layer.delta_net);
    args.first_pos = pos;
    args.n_fold = n_fold;
    args.commit = true;
    args.state = recurrent.view(recurrent_index++);
    ops_.delta_net(args);
  }
}

void TextModel::logits(const float* hidden, int n, float* out) const {
  const kernels::Rows in{hidden, n, config().d_model};
  ops_.project(in, std::array{kernels::Projection{&weights_.output(), out}});
}

}  // namespace foretoken::model::qwen35
