// Gated softmax attention over the tiled cache, for a vector vocabulary V.
//
// All query rows that share a key/value head (tokens x group) go over a tile together, so the cache
// is read once however many tokens and heads ask. Tiles are decoded to f32 once per block of rows.
// Per row the arithmetic is fixed by absolute positions alone: within a split of 512 keys a running
// softmax advances 32 keys at a time, and splits are merged in ascending order. Hence a row's bits
// depend neither on the other rows nor on how work is divided. Keys that a row may not see take no
// part: they are not multiplied by zero, so whatever lies there cannot leak in.
// Source: docs/attention.md; Milakov & Gimelshein, "Online normalizer calculation for softmax"
// (2018); Dao et al., "FlashAttention" (2022).
#pragma once

#include <cstddef>

#include "kernels/cpu/mixer_table.h"
#include "kernels/cpu/vector_math.h"

namespace foretoken::kernels {
namespace {

template <class V>
struct Attention {
  using F = typename V::F;
  static constexpr int kTile = 16;
  static constexpr int kQuantBlock = 32;
  static constexpr float kNoScore = -__builtin_inff();

  // ---- queries and keys before they are used

  static void rotate(const RotateJob& job) {
    F sum = V::zero();
    for (int i = 0; i < job.head_dim; i += 16)
      sum = V::fma(V::load(job.x + i), V::load(job.x + i), sum);
    const float mean = V::sum(sum) / static_cast<float>(job.head_dim);
    const F factor = V::set(1.0F / __builtin_sqrtf(mean + job.eps));
    for (int i = 0; i < job.head_dim; i += 16) {
      V::store(job.out + i, V::mul(V::mul(V::load(job.x + i), factor), V::load(job.norm + i)));
    }
    for (int i = 0; i < job.n_pairs; ++i) {
      const float a = job.out[i];
      const float b = job.out[i + job.n_pairs];
      job.out[i] = a * job.cos[i] - b * job.sin[i];
      job.out[i + job.n_pairs] = b * job.cos[i] + a * job.sin[i];
    }
    const F scale = V::set(job.scale);
    for (int i = 0; i < job.head_dim; i += 16) {
      V::store(job.out + i, V::mul(V::load(job.out + i), scale));
    }
  }

  // ---- regions

  static void splits(const AttendJob& job, int begin, int end, int thread) {
    const Scratch scratch(job, thread);
    for (int item = begin; item < end; ++item) {
      const int split = item % job.n_splits;
      const Rows rows = rows_of(job, item / job.n_splits);
      const int first = run_split(job, rows, split, scratch);
      for (int r = first; r < rows.count; ++r) {
        float* partial = partial_of(job, rows.kv_head, rows.begin + r, split);
        copy(scratch.result(r), job.head_dim, partial);
        partial[job.head_dim] = scratch.largest[r];
        partial[job.head_dim + 1] = scratch.total[r];
      }
    }
  }

  static void merge(const AttendJob& job, int begin, int end) {
    for (int item = begin; item < end; ++item) {
      const int kv_head = item / job.n_rows;
      const int row = item % job.n_rows;
      // The first partial doubles as the accumulator.
      float* merged = partial_of(job, kv_head, row, 0);
      float& largest = merged[job.head_dim];
      float& total = merged[job.head_dim + 1];
      for (int split = 1; split * kKeySplit < n_visible(job, row); ++split) {
        const float* partial = partial_of(job, kv_head, row, split);
        merge_into(merged, largest, total, partial, partial[job.head_dim],
                   partial[job.head_dim + 1], job.head_dim);
      }
      finish(job, kv_head, row, merged, total);
    }
  }

  static void rows(const AttendJob& job, int begin, int end, int thread) {
    const Scratch scratch(job, thread);
    for (int item = begin; item < end; ++item) {
      const Rows rows = rows_of(job, item);
      const int n_keys = n_visible(job, rows.begin + rows.count - 1);
      for (int split = 0; split * kKeySplit < n_keys; ++split) {
        const int first = run_split(job, rows, split, scratch);
        for (int r = first; r < rows.count; ++r) {
          if (split == 0) {
            copy(scratch.result(r), job.head_dim, scratch.merged(r));
            scratch.merged_largest[r] = scratch.largest[r];
            scratch.merged_total[r] = scratch.total[r];
          } else {
            merge_into(scratch.merged(r), scratch.merged_largest[r], scratch.merged_total[r],
                       scratch.result(r), scratch.largest[r], scratch.total[r], job.head_dim);
          }
        }
      }
      for (int r = 0; r < rows.count; ++r) {
        finish(job, rows.kv_head, rows.begin + r, scratch.merged(r), scratch.merged_total[r]);
      }
    }
  }

 private:
  static std::size_t size(int x) { return static_cast<std::size_t>(x); }

  // One thread's working memory; the sizes add up to attend_thread_floats().
  struct Scratch {
    Scratch(const AttendJob& job, int thread) : d(size(job.head_dim)) {
      float* next = job.thread_scratch + size(thread) * job.thread_stride;
      const auto take = [&next](std::size_t n) {
        float* taken = next;
        next += n;
        return taken;
      };
      keys = take(kKeyBlock * d);
      values = take(kKeyBlock * d);
      results = take(kRowBlock * d);
      merged_results = take(kRowBlock * d);
      lane_totals = take(kRowBlock * 16);
      weights = take(kRowBlock * kKeyBlock);
      rescale = take(kRowBlock);
      largest = take(kRowBlock);
      total = take(kRowBlock);
      merged_largest = take(kRowBlock);
      merged_total = take(kRowBlock);
    }
    float* result(int r) const { return results + size(r) * d; }
    float* merged(int r) const { return merged_results + size(r) * d; }

    std::size_t d;
    float* keys;            // [2][d][16]
    float* values;          // [2][16][d]
    float* results;         // [kRowBlock][d]: sum of weighted values, not yet normalised
    float* merged_results;  // [kRowBlock][d]
    float* lane_totals;     // [kRowBlock][16]: sum of weights, per lane
    float* weights;         // [kRowBlock][kKeyBlock]: scores, then weights
    float* rescale;         // [kRowBlock]: e^(old maximum - new maximum)
    float* largest;         // [kRowBlock]: maximum of the scores so far
    float* total;           // [kRowBlock]
    float* merged_largest;  // [kRowBlock]
    float* merged_total;    // [kRowBlock]
  };

  // Query rows begin .. begin + count - 1 of a key/value head.
  struct Rows {
    int kv_head;
    int begin;
    int count;
    const float* q;
  };

  static Rows rows_of(const AttendJob& job, int item) {
    const int kv_head = item / job.n_row_blocks;
    const int begin = item % job.n_row_blocks * kRowBlock;
    const int left = job.n_rows - begin;
    const std::size_t row = size(kv_head) * size(job.n_rows) + size(begin);
    return {kv_head, begin, left < kRowBlock ? left : kRowBlock, job.q + row * size(job.head_dim)};
  }

  static int n_visible(const AttendJob& job, int row) {
    return job.first_pos + row / job.group + 1;
  }

  static float* partial_of(const AttendJob& job, int kv_head, int row, int split) {
    const std::size_t at =
        (size(kv_head) * size(job.n_rows) + size(row)) * size(job.n_splits) + size(split);
    return job.partial + at * size(job.head_dim + 2);
  }

  static void copy(const float* from, int n, float* to) {
    for (int i = 0; i < n; i += 16) V::store(to + i, V::load(from + i));
  }

  // ---- one split

  // Attention of the rows over the keys of `split`, into scratch.result / largest / total. Returns
  // the first row (of this block) that sees any of them; rows before it are left alone.
  static int run_split(const AttendJob& job, const Rows& rows, int split, const Scratch& scratch) {
    const int split_begin = split * kKeySplit;
    int first = 0;
    while (first < rows.count && n_visible(job, rows.begin + first) <= split_begin) ++first;
    if (first == rows.count) return first;
    for (int r = first; r < rows.count; ++r) {
      scratch.largest[r] = kNoScore;
      V::store(scratch.lane_totals + 16 * r, V::zero());
      for (int i = 0; i < job.head_dim; i += 16) V::store(scratch.result(r) + i, V::zero());
    }
    const int last_visible = n_visible(job, rows.begin + rows.count - 1);
    const int split_end = split_begin + kKeySplit;
    const int end = last_visible < split_end ? last_visible : split_end;
    for (int key = split_begin; key < end; key += kKeyBlock) {
      run_key_block(job, rows, first, key, end - key, scratch);
    }
    for (int r = first; r < rows.count; ++r) {
      scratch.total[r] = V::sum(V::load(scratch.lane_totals + 16 * r));
    }
    return first;
  }

  // Keys key .. key + 31, of which `n_keys` are seen by the last row.
  static void run_key_block(const AttendJob& job, const Rows& rows, int first, int key, int n_keys,
                            const Scratch& scratch) {
    const float* keys[2];
    const float* values[2];
    decode(job, rows.kv_head, key, n_keys, scratch, keys, values);
    // Rows are in order of what they see: none of this block, some of it, all of it.
    int r = first;
    for (; r < rows.count; ++r) {
      const int seen = n_visible(job, rows.begin + r) - key;
      if (seen >= kKeyBlock) break;
      if (seen > 0) run_rows<1>(job, rows, r, seen, keys, values, scratch);
    }
    while (r + V::kQueryRows <= rows.count) {
      run_rows<V::kQueryRows>(job, rows, r, kKeyBlock, keys, values, scratch);
      r += V::kQueryRows;
    }
    if constexpr (V::kQueryRows > 4) {
      if (r + 4 <= rows.count) {
        run_rows<4>(job, rows, r, kKeyBlock, keys, values, scratch);
        r += 4;
      }
    }
    if constexpr (V::kQueryRows > 2) {
      if (r + 2 <= rows.count) {
        run_rows<2>(job, rows, r, kKeyBlock, keys, values, scratch);
        r += 2;
      }
    }
    for (; r < rows.count; ++r) run_rows<1>(job, rows, r, kKeyBlock, keys, values, scratch);
  }

  // Scores, weights and weighted values of rows r .. r + kRows - 1, each seeing `seen` keys.
  template <int kRows>
  static void run_rows(const AttendJob& job, const Rows& rows, int r, int seen,
                       const float* const keys[2], const float* const values[2],
                       const Scratch& scratch) {
    score<kRows>(rows.q + size(r) * scratch.d, job.head_dim, keys, scratch.weights + r * kKeyBlock);
    for (int i = r; i < r + kRows; ++i) weigh(i, seen, scratch);
    collect<kRows>(job.head_dim, r, seen, values, scratch);
  }

  // out[row][key] = q[row] . keys[key], each a single chain over the dimensions.
  template <int kRows>
  static void score(const float* q, int d, const float* const keys[2], float* out) {
    F sums[kRows][2];
    for (int r = 0; r < kRows; ++r) sums[r][0] = sums[r][1] = V::zero();
    for (int i = 0; i < d; ++i) {
      const F k0 = V::load(keys[0] + i * kTile);
      const F k1 = V::load(keys[1] + i * kTile);
      for (int r = 0; r < kRows; ++r) {
        const F x = V::set(q[r * d + i]);
        sums[r][0] = V::fma(x, k0, sums[r][0]);
        sums[r][1] = V::fma(x, k1, sums[r][1]);
      }
    }
    for (int r = 0; r < kRows; ++r) {
      V::store(out + r * kKeyBlock, sums[r][0]);
      V::store(out + r * kKeyBlock + kTile, sums[r][1]);
    }
  }

  // Scores of row r become weights e^(score - maximum); unseen ones become zero.
  static void weigh(int r, int seen, const Scratch& scratch) {
    float* weights = scratch.weights + r * kKeyBlock;
    const F none = V::set(kNoScore);
    const F s0 = V::first_lanes(seen, V::load(weights), none);
    const F s1 = V::first_lanes(seen - kTile, V::load(weights + kTile), none);
    const float old_largest = scratch.largest[r];
    const float here = V::largest(V::max(s0, s1));
    const float largest = here > old_largest ? here : old_largest;
    const F shift = V::set(largest);
    const F p0 = V::first_lanes(seen, exp_of<V>(V::sub(s0, shift)), V::zero());
    const F p1 = V::first_lanes(seen - kTile, exp_of<V>(V::sub(s1, shift)), V::zero());
    const F rescale = exp_of<V>(V::set(old_largest - largest));
    float* lane_totals = scratch.lane_totals + 16 * r;
    V::store(weights, p0);
    V::store(weights + kTile, p1);
    V::store(lane_totals, V::add(V::fma(V::load(lane_totals), rescale, p0), p1));
    scratch.rescale[r] = first_lane(rescale);
    scratch.largest[r] = largest;
  }

  static float first_lane(F x) {
    float lanes[16];
    V::store(lanes, x);
    return lanes[0];
  }

  // result[row] = result[row] * rescale[row] + sum over seen keys of weight * value.
  template <int kRows>
  static void collect(int d, int r, int seen, const float* const values[2],
                      const Scratch& scratch) {
    const int in_first = seen < kTile ? seen : kTile;
    for (int i = 0; i < d; i += 32) {
      F sums[kRows][2];
      for (int row = 0; row < kRows; ++row) {
        const F rescale = V::set(scratch.rescale[r + row]);
        const float* result = scratch.result(r + row) + i;
        sums[row][0] = V::mul(V::load(result), rescale);
        sums[row][1] = V::mul(V::load(result + 16), rescale);
      }
      const float* weights = scratch.weights + r * kKeyBlock;
      add_values<kRows>(values[0] + i, d, in_first, weights, sums);
      add_values<kRows>(values[1] + i, d, seen - in_first, weights + kTile, sums);
      for (int row = 0; row < kRows; ++row) {
        float* result = scratch.result(r + row) + i;
        V::store(result, sums[row][0]);
        V::store(result + 16, sums[row][1]);
      }
    }
  }

  template <int kRows>
  static void add_values(const float* values, int d, int n_keys, const float* weights,
                         F (&sums)[kRows][2]) {
    for (int key = 0; key < n_keys; ++key) {
      const F v0 = V::load(values + key * d);
      const F v1 = V::load(values + key * d + 16);
      for (int row = 0; row < kRows; ++row) {
        const F p = V::set(weights[row * kKeyBlock + key]);
        sums[row][0] = V::fma(p, v0, sums[row][0]);
        sums[row][1] = V::fma(p, v1, sums[row][1]);
      }
    }
  }

  // ---- merging

  // (merged) <- (merged) joined with (o, largest, total), all relative to their own maxima.
  static void merge_into(float* merged, float& merged_largest, float& merged_total, const float* o,
                         float largest, float total, int d) {
    const float top = largest > merged_largest ? largest : merged_largest;
    const F old_factor = exp_of<V>(V::set(merged_largest - top));
    const F new_factor = exp_of<V>(V::set(largest - top));
    for (int i = 0; i < d; i += 16) {
      const F scaled = V::mul(V::load(merged + i), old_factor);
      V::store(merged + i, V::fma(V::load(o + i), new_factor, scaled));
    }
    merged_total = merged_total * first_lane(old_factor) + total * first_lane(new_factor);
    merged_largest = top;
  }

  // out <- o / total * sigmoid(gate)
  static void finish(const AttendJob& job, int kv_head, int row, const float* o, float total) {
    const int n_heads = job.n_kv_heads * job.group;
    const int head = kv_head * job.group + row % job.group;
    const std::size_t at = size(row / job.group) * size(n_heads) + size(head);
    const std::size_t d = size(job.head_dim);
    const float* gate = job.q_gate + (2 * at + 1) * d;
    const F factor = V::set(1.0F / total);
    for (std::size_t i = 0; i < d; i += 16) {
      const F open = sigmoid_of<V>(V::load(gate + i));
      V::store(job.out + at * d + i, V::mul(V::mul(V::load(o + i), factor), open));
    }
  }

  // ---- decoding tiles

  // Sets keys[i] ([d][16]) and values[i] ([16][d]) to the tiles from position `key` on. The second
  // one repeats the first where no row sees it. A block of keys never crosses a page.
  static void decode(const AttendJob& job, int kv_head, int key, int n_keys, const Scratch& scratch,
                     const float* keys[2], const float* values[2]) {
    const int n_tiles = n_keys > kTile ? 2 : 1;
    static_assert(kKeyPage % kKeyBlock == 0 && kKeyPage == kKeyPageTiles * kTile);
    const std::byte* page = job.pages[key / kKeyPage];
    const std::size_t first = size(kv_head * kKeyPageTiles + key % kKeyPage / kTile);
    for (int i = 0; i < n_tiles; ++i) {
      const std::size_t tile = first + size(i);
      keys[i] = decode_keys(job.key_code, page + job.key_offset + tile * job.key_tile_bytes,
                            job.head_dim, scratch.keys + size(i * kTile) * scratch.d);
      values[i] =
          decode_values(job.value_code, page + job.value_offset + tile * job.value_tile_bytes,
                        job.head_dim, scratch.values + size(i * kTile) * scratch.d);
    }
    if (n_tiles == 1) {
      keys[1] = keys[0];
      values[1] = values[0];
    }
  }

  // Returns the tile as [d][16] floats: in place for F32, else decoded into `out`.
  static const float* decode_keys(KvCode code, const std::byte* tile, int d, float* out) {
    const std::byte* packed = tile + size(d / kQuantBlock) * kTile * 2;  // behind the scales
    switch (code) {
      case KvCode::F32:
        return reinterpret_cast<const float*>(tile);
      case KvCode::F16:
      case KvCode::BF16:
        return decode_halves(code, tile, d, out);
      case KvCode::Q8_0:
        for (int i = 0; i < d; ++i) {
          const F scale = V::load_f16(tile + i / kQuantBlock * kTile * 2);
          V::store(out + i * kTile, V::mul(V::load_i8(packed + i * kTile), scale));
        }
        return out;
      case KvCode::Q4_0:
        break;
    }
    for (int block = 0; block < d / kQuantBlock; ++block) {
      const F scale = V::load_f16(tile + block * kTile * 2);
      for (int j = 0; j < kQuantBlock / 2; ++j) {
        const std::byte* bytes = packed + (block * kQuantBlock / 2 + j) * kTile;
        float* low = out + (block * kQuantBlock + j) * kTile;
        V::store(low, V::mul(V::load_low_nibbles(bytes), scale));
        V::store(low + kQuantBlock / 2 * kTile, V::mul(V::load_high_nibbles(bytes), scale));
      }
    }
    return out;
  }

  // Returns the tile as [16][d] floats.
  static const float* decode_values(KvCode code, const std::byte* tile, int d, float* out) {
    const int n_blocks = d / kQuantBlock;
    const std::byte* packed = tile + n_blocks * kTile * 2;
    switch (code) {
      case KvCode::F32:
        return reinterpret_cast<const float*>(tile);
      case KvCode::F16:
      case KvCode::BF16:
        return decode_halves(code, tile, d, out);
      case KvCode::Q8_0:
      case KvCode::Q4_0:
        break;
    }
    for (int first = 0; first < kTile * n_blocks; first += 16) {
      float scales[16];
      V::store(scales, V::load_f16(tile + first * 2));
      for (int i = 0; i < 16; ++i) {
        const int block = first + i;  // counted over the whole tile, position by position
        const F scale = V::set(scales[i]);
        float* to = out + block * kQuantBlock;
        if (code == KvCode::Q8_0) {
          const std::byte* bytes = packed + block * kQuantBlock;
          V::store(to, V::mul(V::load_i8(bytes), scale));
          V::store(to + 16, V::mul(V::load_i8(bytes + 16), scale));
        } else {
          const std::byte* bytes = packed + block * kQuantBlock / 2;
          V::store(to, V::mul(V::load_low_nibbles(bytes), scale));
          V::store(to + 16, V::mul(V::load_high_nibbles(bytes), scale));
        }
      }
    }
    return out;
  }

  static const float* decode_halves(KvCode code, const std::byte* tile, int d, float* out) {
    if (code == KvCode::F16) {
      for (int i = 0; i < d * kTile; i += 16) V::store(out + i, V::load_f16(tile + 2 * i));
    } else {
      for (int i = 0; i < d * kTile; i += 16) V::store(out + i, V::load_bf16(tile + 2 * i));
    }
    return out;
  }
};

}  // namespace
}  // namespace foretoken::kernels
