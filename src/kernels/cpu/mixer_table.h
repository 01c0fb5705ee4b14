// The mixer kernels of one instruction set as a table of functions, and their arguments as plain
// numbers and pointers (no standard containers: see the note in isa_*.cpp). cpu_ops_mixer.cpp fills
// the arguments, splits the items over the pool and owns the scratch memory.
#pragma once

#include <cstddef>
#include <cstdint>

namespace foretoken::kernels {

/// Tokens whose keys and queries are gathered before the state is walked; at least 2 * kMaxPending.
inline constexpr int kDeltaBlock = 64;
/// Key positions per partial softmax; splits begin at its multiples. A multiple of kKeyBlock.
inline constexpr int kKeySplit = 512;
/// Key positions per step of the running softmax: two cache tiles.
inline constexpr int kKeyBlock = 32;
/// Key positions of a page of the cache, and their tiles; a multiple of kKeyBlock.
inline constexpr int kKeyPage = 64;
inline constexpr int kKeyPageTiles = 4;
/// Most query rows of one key/value head that share a decoded tile.
inline constexpr int kRowBlock = 64;

/// DeltaNetArgs of ops.h, flattened, and scratch.
struct DeltaNetJob {
  int n_k_heads;
  int n_v_heads;
  int d_k;
  int d_v;
  int n_channels;
  float* qkv;
  const float* z;
  const float* alpha;
  const float* beta;
  const float* conv;
  const float* a;
  const float* dt_bias;
  const float* norm;
  float eps;
  int n;
  std::int64_t first_pos;
  int n_fold;
  bool commit;
  float* s;
  float* conv_ring;
  float* pending_k;
  float* pending_v;
  float* pending_beta;
  float* pending_g;
  float* out;
  float* fold_k;          ///< [n_fold, n_k_heads*d_k]: copy of the pending keys being folded
  float* thread_scratch;  ///< [threads][thread_stride]
  std::size_t thread_stride;
};

/// Floats of `thread_scratch` that one thread needs.
constexpr std::size_t delta_net_thread_floats(int d_k, int d_v) {
  // Keys, queries, values and outputs of a block of tokens, and a private copy of two strips.
  return 2 * kDeltaBlock * static_cast<std::size_t>(d_k + d_v) +
         2 * 16 * static_cast<std::size_t>(d_k);
}

/// Storage of a cache side.
enum class KvCode : int { F32, F16, BF16, Q8_0, Q4_0 };

/// rope(rms_norm(x)) * scale of one head.
struct RotateJob {
  const float* x;     ///< [head_dim]
  const float* norm;  ///< [head_dim]
  float eps;
  const float* cos;  ///< [n_pairs]
  const float* sin;  ///< [n_pairs]
  int n_pairs;
  int head_dim;
  float scale;
  float* out;  ///< [head_dim]
};

/// AttendArgs of ops.h, flattened, and scratch. Rows of a key/value head: r = t * group + (query
/// head within the group), 0 <= r < n * group.
struct AttendJob {
  KvCode key_code;
  KvCode value_code;
  const std::byte* const* pages;  ///< [positions / kKeyPage]
  std::size_t key_offset;         ///< within a page, of key tiles [n_kv_heads][kKeyPageTiles]
  std::size_t value_offset;       ///< likewise of value tiles
  std::size_t key_tile_bytes;
  std::size_t value_tile_bytes;
  int n_kv_heads;
  int head_dim;
  int group;  ///< query heads per key/value head
  int n;
  int first_pos;
  const float* q_gate;
  const float* q;         ///< [n_kv_heads][n*group][head_dim]: normalised, rotated and scaled
  int n_rows;             ///< n * group
  int n_row_blocks;       ///< of kRowBlock rows
  int n_splits;           ///< that the last token sees
  float* partial;         ///< [n_kv_heads][n_rows][n_splits][head_dim + 2]: o, maximum, sum
  float* thread_scratch;  ///< [threads][thread_stride]
  std::size_t thread_stride;
  float* out;
};

/// Floats of `thread_scratch` that one thread needs.
constexpr std::size_t attend_thread_floats(int head_dim) {
  const auto d = static_cast<std::size_t>(head_dim);
  return 2 * kKeyBlock * d                    // decoded keys and values
         + kRowBlock * (d + 2)                // partial results of a split
         + kRowBlock * (d + 2)                // merged results
         + kRowBlock * (16 + kKeyBlock + 1);  // sums per lane, weights, rescaling factors
}

/// Items [begin, end) of each region; `thread` selects the scratch.
struct MixerTable {
  /// Convolution, SiLU and l2 norm. Items: q heads, k heads, v heads.
  void (*delta_net_inputs)(const DeltaNetJob& job, int begin, int end);
  /// Recurrence, output norm and gate. Items: v heads.
  void (*delta_net_heads)(const DeltaNetJob& job, int begin, int end, int thread);
  /// One head's query or key.
  void (*rotate)(const RotateJob& job);
  /// Partial attention of one split. Items: (key/value head, row block, split), split fastest.
  void (*attend_splits)(const AttendJob& job, int begin, int end, int thread);
  /// Merges the partials and gates. Items: (key/value head, row).
  void (*attend_merge)(const AttendJob& job, int begin, int end);
  /// All splits in order, merged and gated. Items: (key/value head, row block).
  void (*attend_rows)(const AttendJob& job, int begin, int end, int thread);
  /// e^x, sigmoid, silu and softplus of 16 values, for tests: x [16], out [4][16].
  void (*elementary)(const float* x, float* out);
};

extern const MixerTable kMixerScalar;
extern const MixerTable kMixerAvx2;
extern const MixerTable kMixerAvx512;

}  // namespace foretoken::kernels
