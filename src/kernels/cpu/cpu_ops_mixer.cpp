// The mixers of the CPU backend: flattens the arguments of ops.h for the kernels of one instruction
// set, lends them scratch memory and divides the items among threads. What is an item, and in which
// order sums run, never depends on the number of threads.
#include <algorithm>
#include <cmath>

#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/mixer_table.h"
#include "kernels/kv_codec.h"

namespace foretoken::kernels {
namespace {

static_assert(kKeyPage == kKvPagePositions && kKeyPageTiles == kKvPageTiles);

std::size_t size(int x) { return static_cast<std::size_t>(x); }

KvCode code_of(quant::Type type) {
  switch (type) {
    case quant::Type::F16:
      return KvCode::F16;
    case quant::Type::BF16:
      return KvCode::BF16;
    case quant::Type::Q8_0:
      return KvCode::Q8_0;
    case quant::Type::Q4_0:
      return KvCode::Q4_0;
    default:  // is_kv_type admits no other
      return KvCode::F32;
  }
}

// rope(rms_norm(x)) of a head of token `t`.
RotateJob rotate_job(const float* x, const float* norm, float eps, const RopeAngles& rope, int t,
                     int head_dim, float scale, float* out) {
  const std::size_t angle = size(t) * size(rope.n_pairs);
  return {x, norm, eps, rope.cos + angle, rope.sin + angle, rope.n_pairs, head_dim, scale, out};
}

AttendJob attend_job(const AttendArgs& args) {
  const KvView& kv = args.kv;
  AttendJob job{};
  job.key_code = code_of(kv.key_type);
  job.value_code = code_of(kv.value_type);
  job.pages = kv.pages;
  job.key_offset = kv.key_offset;
  job.value_offset = kv.value_offset;
  job.key_tile_bytes = kv_tile_bytes(kv.key_type, kv.head_dim);
  job.value_tile_bytes = kv_tile_bytes(kv.value_type, kv.head_dim);
  job.n_kv_heads = kv.n_kv_heads;
  job.head_dim = kv.head_dim;
  job.group = args.n_heads / kv.n_kv_heads;
  job.n = args.n;
  job.first_pos = args.first_pos;
  job.q_gate = args.q_gate;
  job.n_rows = args.n * job.group;
  job.n_row_blocks = (job.n_rows + kRowBlock - 1) / kRowBlock;
  job.n_splits = (args.first_pos + args.n + kKeySplit - 1) / kKeySplit;
  job.out = args.out;
  return job;
}

DeltaNetJob delta_net_job(const DeltaNetArgs& args) {
  const DeltaNetShape& shape = args.shape;
  DeltaNetJob job{};
  job.n_k_heads = shape.n_k_heads;
  job.n_v_heads = shape.n_v_heads;
  job.d_k = shape.d_k;
  job.d_v = shape.d_v;
  job.n_channels = shape.n_channels();
  job.qkv = args.qkv;
  job.z = args.z;
  job.alpha = args.alpha;
  job.beta = args.beta;
  job.conv = args.conv;
  job.a = args.a;
  job.dt_bias = args.dt_bias;
  job.norm = args.norm;
  job.eps = args.eps;
  job.n = args.n;
  job.first_pos = args.first_pos;
  job.n_fold = args.n_fold;
  job.commit = args.commit;
  job.s = args.state.s;
  job.conv_ring = args.state.conv_ring;
  job.pending_k = args.state.pending_k;
  job.pending_v = args.state.pending_v;
  job.pending_beta = args.state.pending_beta;
  job.pending_g = args.state.pending_g;
  job.out = args.out;
  return job;
}

}  // namespace

const MixerTable& mixer_table(CpuLevel level) {
  switch (level) {
    case CpuLevel::Scalar:
      return kMixerScalar;
#if defined(__x86_64__)
    case CpuLevel::Avx2:
      return kMixerAvx2;
    case CpuLevel::Avx512:
    case CpuLevel::Avx512Vnni:  // nothing here multiplies integers
      return kMixerAvx512;
#endif
    default:
      return kMixerScalar;
  }
}

void CpuOps::store_kv(const StoreKvArgs& args) {
  const KvView& kv = args.kv;
  const std::size_t d = size(kv.head_dim);
  mixer_scratch_.grow_to(size(pool_.size()) * d);
  // Items are key/value heads, so that no two threads write into one tile.
  pool_.parallel_for(kv.n_kv_heads, 1, [&](int begin, int end, int thread) {
    float* rotated = mixer_scratch_.data() + size(thread) * d;
    for (int head = begin; head < end; ++head) {
      for (int t = 0; t < args.n; ++t) {
        const std::size_t row = (size(t) * size(kv.n_kv_heads) + size(head)) * d;
        const int tile = (args.first_pos + t) / kKvTile;
        const int slot = (args.first_pos + t) % kKvTile;
        mixer_.rotate(rotate_job(args.k + row, args.k_norm, args.eps, args.rope, t, kv.head_dim,
                                 1.0F, rotated));
        encode_key(kv.key_type, rotated, kv.head_dim, slot, kv.key_tile(head, tile));
        encode_value(kv.value_type, args.v + row, kv.head_dim, slot, kv.value_tile(head, tile));
      }
    }
  });
}

void CpuOps::attend(const AttendArgs& args) {
  AttendJob job = attend_job(args);
  const int n_blocks = job.n_kv_heads * job.n_row_blocks;
  // Enough blocks of rows to occupy everybody: each goes through all splits by itself and no
  // partial result leaves the thread. Otherwise the splits are shared out and merged afterwards.
  const bool by_rows = job.n_splits == 1 || n_blocks >= 4 * pool_.size();
  const std::size_t d = size(job.head_dim);
  const std::size_t n_q = size(args.n) * size(args.n_heads) * d;
  const std::size_t n_partial =
      by_rows ? 0 : size(args.n) * size(args.n_heads) * size(job.n_splits) * (d + 2);
  job.thread_stride = attend_thread_floats(job.head_dim);
  mixer_scratch_.grow_to(n_q + n_partial + size(pool_.size()) * job.thread_stride);
  float* q = mixer_scratch_.data();
  job.q = q;
  job.thread_scratch = q + n_q;
  job.partial = job.thread_scratch + size(pool_.size()) * job.thread_stride;

  const float scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(job.head_dim)));
  pool_.parallel_for(args.n * args.n_heads, 4, [&](int begin, int end, int) {
    for (int item = begin; item < end; ++item) {
      const int t = item / args.n_heads;
      const int head = item % args.n_heads;
      const std::size_t row =
          size(head / job.group) * size(job.n_rows) + size(t * job.group + head % job.group);
      mixer_.rotate(rotate_job(args.q_gate + 2 * size(item) * d, args.q_norm, args.eps, args.rope,
                               t, job.head_dim, scale, q + row * d));
    }
  });
  if (by_rows) {
    pool_.parallel_for(n_blocks, 1, [&](int begin, int end, int thread) {
      mixer_.attend_rows(job, begin, end, thread);
    });
    return;
  }
  pool_.parallel_for(n_blocks * job.n_splits, 1, [&](int begin, int end, int thread) {
    mixer_.attend_splits(job, begin, end, thread);
  });
  pool_.parallel_for(job.n_kv_heads * job.n_rows, 4,
                     [&](int begin, int end, int) { mixer_.attend_merge(job, begin, end); });
}

void CpuOps::delta_net(const DeltaNetArgs& args) {
  DeltaNetJob job = delta_net_job(args);
  const std::size_t n_fold_k = size(args.n_fold) * size(job.n_k_heads) * size(job.d_k);
  job.thread_stride = delta_net_thread_floats(job.d_k, job.d_v);
  mixer_scratch_.grow_to(n_fold_k + size(pool_.size()) * job.thread_stride);
  job.fold_k = mixer_scratch_.data();
  job.thread_scratch = job.fold_k + n_fold_k;
  pool_.parallel_for(2 * job.n_k_heads + job.n_v_heads, 1,
                     [&](int begin, int end, int) { mixer_.delta_net_inputs(job, begin, end); });
  pool_.parallel_for(job.n_v_heads, 1, [&](int begin, int end, int thread) {
    mixer_.delta_net_heads(job, begin, end, thread);
  });
}

}  // namespace foretoken::kernels
