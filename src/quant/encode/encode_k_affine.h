// Q2_K, Q4_K and Q5_K: groups with a scale and a minimum each, both again multiples of one number
// per block. First every group is searched; then the two levels of scales are made; then the codes
// are rounded anew, now for the scales as a reader will see them.
// Source: docs/quant-formats.md, "Making blocks"; quantize_row_q{2,4,5}_K_* of llama.cpp de3ff815.
#pragma once

#include <cstddef>

#include "quant/blocks.h"
#include "quant/encode/search_affine.h"
#include "quant/encode/search_positive.h"
#include "quant/encode/tile.h"

namespace foretoken::quant {
namespace {

/// Scales of a block after both levels, before they are packed.
template <class V, int kGroups>
struct TwoLevels {
  typename V::I d;  // binary16 bits
  typename V::I dmin;
  typename V::I scale[kGroups];  // a byte each
  typename V::I min[kGroups];
};

/// round(x / largest * top) of each x and the binary16 bits of largest / top; 0 without a positive
/// x.
template <class V, int kGroups>
typename V::I spread_evenly(int top, const typename V::F* x, typename V::I* codes) {
  using F = typename V::F;
  const F steps = V::set(static_cast<float>(top));
  F largest = V::set(0.0F);
  for (int g = 0; g < kGroups; ++g) largest = V::max(x[g], largest);
  const F inverse = divide_if_positive<V>(steps, largest);
  for (int g = 0; g < kGroups; ++g) codes[g] = nearest<V>(V::mul(inverse, x[g]));
  return V::to_f16(V::div(largest, steps));
}

/// The groups' fits of one block and, where importance is known, the weight of each group.
template <class V, int kGroups>
struct GroupFits {
  AffineFit<V> fits[kGroups];
  typename V::F weights[kGroups];
};

/// Second level by search (importance) or by an even spread of 0..top.
template <class V, int kGroups>
TwoLevels<V, kGroups> make_levels(const GroupFits<V, kGroups>& groups, bool has_importance,
                                  int top) {
  using F = typename V::F;
  F scales[kGroups];
  F minima[kGroups];
  for (int g = 0; g < kGroups; ++g) {
    scales[g] = groups.fits[g].scale;
    minima[g] = groups.fits[g].minimum;
  }
  TwoLevels<V, kGroups> levels;
  if (has_importance) {
    const F d = search_positive<V, kGroups>(top, scales, groups.weights, levels.scale);
    const F dmin = search_positive<V, kGroups>(top, minima, groups.weights, levels.min);
    levels.d = V::to_f16(d);
    levels.dmin = V::to_f16(dmin);
  } else {
    levels.d = spread_evenly<V, kGroups>(top, scales, levels.scale);
    levels.dmin = spread_evenly<V, kGroups>(top, minima, levels.min);
  }
  return levels;
}

/// Codes of a group: round((x + min) / step), or the search's own where the step became zero.
template <class V, int kN>
void round_anew(const AffineFit<V>& fit, int max_code, typename V::F step, typename V::F min,
                const typename V::F* x, typename V::I* codes) {
  const auto vanished = V::equal(step, V::set(0.0F));
  for (int e = 0; e < kN; ++e) {
    codes[e] = nearest_clamped<V>(V::div(V::add(x[e], min), step), 0, max_code);
  }
  if (!V::any(vanished)) return;
  for (int e = 0; e < kN; ++e) {
    codes[e] = V::select_ints(vanished, affine_code<V>(fit, max_code, x[e]), codes[e]);
  }
}

/// Variance of a block for importance weights: the sum of its squares, times `factor`, over 256.
template <class V>
typename V::F block_variance(const typename V::F* x, float factor) {
  return V::div(V::mul(V::set(factor), sum_of_squares<V>(x, 256)), V::set(256.0F));
}

/// Sum of the n weights of a group, first to last.
template <class V>
typename V::F sum_of(const typename V::F* w, int n) {
  typename V::F sum = V::set(0.0F);
  for (int e = 0; e < n; ++e) sum = V::add(sum, w[e]);
  return sum;
}

/// Fits the groups of kN of one block, by importance or by the format's own weights.
template <class V, int kN, AffineError kOwnError, class OwnWeights>
GroupFits<V, 256 / kN> fit_groups(const Tile<V>& tile, const typename V::F* x, int max_code,
                                  bool has_importance, float variance_factor,
                                  AffineTrials own_trials, const OwnWeights& own_weights) {
  using F = typename V::F;
  GroupFits<V, 256 / kN> out;
  const F variance = has_importance ? block_variance<V>(x, variance_factor) : V::set(0.0F);
  for (int g = 0; g < 256 / kN; ++g) {
    const F* group = x + kN * g;
    F w[kN];
    if (has_importance) {
      weigh_by_importance<V>(tile, static_cast<std::size_t>(kN * g), kN, group, variance, w);
      out.weights[g] = sum_of<V>(w, kN);
      out.fits[g] = search_affine<V, kN, AffineError::Square>(max_code, group, w, kWeightedTrials);
    } else {
      own_weights(group, w);
      out.fits[g] = search_affine<V, kN, kOwnError>(max_code, group, w, own_trials);
    }
  }
  return out;
}

/// 64 bytes of two-bit codes in plane order.
template <class V>
void put_planes(const Tile<V>& tile, std::size_t offset, const typename V::I* codes) {
  typename V::I bytes[64];
  for (int i = 0; i < 64; ++i) {
    const typename V::I* c = codes + 128 * (i / 32) + i % 32;
    bytes[i] =
        V::or_ints(V::or_ints(c[0], V::template shift_left<2>(c[32])),
                   V::or_ints(V::template shift_left<4>(c[64]), V::template shift_left<6>(c[96])));
  }
  put_bytes<V>(tile, offset, 64, bytes);
}

template <class V>
void encode_q2_K(const EncodeJob& job) {
  using F = typename V::F;
  using I = typename V::I;
  const bool has_importance = job.importance != nullptr;
  const auto magnitudes = [](const F* x, F* w) {
    for (int e = 0; e < 16; ++e) w[e] = V::abs(x[e]);
  };
  for_each_tile<V, 256, sizeof(BlockQ2_K)>(job, [&](const Tile<V>& tile) {
    F x[256];
    gather<V>(tile.elements, 0, 256, x);
    const auto groups = fit_groups<V, 16, AffineError::Absolute>(tile, x, 3, has_importance, 1.0F,
                                                                 {-0.5F, 0.1F, 15}, magnitudes);
    const TwoLevels<V, 16> levels = make_levels<V, 16>(groups, has_importance, 15);
    const F d = V::from_f16(levels.d);
    const F dmin = V::from_f16(levels.dmin);
    I scales[16];
    I codes[256];
    for (int g = 0; g < 16; ++g) {
      scales[g] = V::or_ints(levels.scale[g], V::template shift_left<4>(levels.min[g]));
      const I scale = V::and_ints(scales[g], V::set_int(15));
      const I min = V::and_ints(V::template shift_right<4>(scales[g]), V::set_int(15));
      round_anew<V, 16>(groups.fits[g], 3, V::mul(d, V::to_float(scale)),
                        V::mul(dmin, V::to_float(min)), x + 16 * g, codes + 16 * g);
    }
    put_bytes<V>(tile, offsetof(BlockQ2_K, scales), 16, scales);
    put_planes<V>(tile, offsetof(BlockQ2_K, qs), codes);
    put<V, 2>(tile, offsetof(BlockQ2_K, d), levels.d);
    put<V, 2>(tile, offsetof(BlockQ2_K, dmin), levels.dmin);
  });
}

/// Packs the 8 scales and minima of Q4_K and Q5_K into 12 bytes and leaves in `levels` what a
/// reader unpacks.
template <class V>
void put_packed_scales(const Tile<V>& tile, std::size_t offset, TwoLevels<V, 8>& levels) {
  using I = typename V::I;
  const I six_bits = V::set_int(63);
  const I nibble = V::set_int(15);
  I bytes[12];
  for (int j = 0; j < 4; ++j) {
    const I late_scale = levels.scale[j + 4];
    const I late_min = levels.min[j + 4];
    const auto upper = [](I value) {
      return V::template shift_left<6>(V::template shift_right<4>(value));
    };
    bytes[j] = V::or_ints(levels.scale[j], upper(late_scale));
    bytes[j + 4] = V::or_ints(levels.min[j], upper(late_min));
    bytes[j + 8] = V::or_ints(V::and_ints(late_scale, nibble),
                              V::template shift_left<4>(V::and_ints(late_min, nibble)));
    const auto late = [&](I low, I high) {
      const I two_bits = V::and_ints(V::template shift_right<6>(high), V::set_int(3));
      return V::or_ints(V::and_ints(low, nibble), V::template shift_left<4>(two_bits));
    };
    levels.scale[j] = V::and_ints(bytes[j], six_bits);
    levels.min[j] = V::and_ints(bytes[j + 4], six_bits);
    levels.scale[j + 4] = late(bytes[j + 8], bytes[j]);
    levels.min[j + 4] = late(V::template shift_right<4>(bytes[j + 8]), bytes[j + 4]);
  }
  put_bytes<V>(tile, offset, 12, bytes);
}

/// Q4_K and Q5_K up to their codes [256]: writes d, dmin and the packed scales, which lie at the
/// same place in both.
template <class V, int kMaxCode>
void encode_k_groups_of_32(const Tile<V>& tile, bool has_importance, AffineTrials trials,
                           typename V::I* codes) {
  using F = typename V::F;
  const auto magnitudes_above_mean = [](const F* x, F* w) {
    const F mean = V::sqrt(V::div(sum_of_squares<V>(x, 32), V::set(32.0F)));
    for (int e = 0; e < 32; ++e) w[e] = V::add(mean, V::abs(x[e]));
  };
  F x[256];
  gather<V>(tile.elements, 0, 256, x);
  const auto groups = fit_groups<V, 32, AffineError::Square>(tile, x, kMaxCode, has_importance,
                                                             2.0F, trials, magnitudes_above_mean);
  TwoLevels<V, 8> levels = make_levels<V, 8>(groups, has_importance, 63);
  if (!has_importance) {
    // A byte each, limited to 63: that of a negative scale wraps to 63 or less.
    for (int g = 0; g < 8; ++g) {
      const auto limited = [](typename V::I code) {
        return V::min_ints(V::and_ints(code, V::set_int(255)), V::set_int(63));
      };
      levels.scale[g] = limited(levels.scale[g]);
      levels.min[g] = limited(levels.min[g]);
    }
  }
  put_packed_scales<V>(tile, offsetof(BlockQ4_K, scales), levels);
  put<V, 2>(tile, offsetof(BlockQ4_K, d), levels.d);
  put<V, 2>(tile, offsetof(BlockQ4_K, dmin), levels.dmin);
  const F d = V::from_f16(levels.d);
  const F dmin = V::from_f16(levels.dmin);
  for (int g = 0; g < 8; ++g) {
    round_anew<V, 32>(groups.fits[g], kMaxCode, V::mul(d, V::to_float(levels.scale[g])),
                      V::mul(dmin, V::to_float(levels.min[g])), x + 32 * g, codes + 32 * g);
  }
}

/// 128 bytes: the low nibbles of groups 2i (low) and 2i + 1 (high) in bytes 32i..32i+31.
template <class V>
void put_nibbles_of_256(const Tile<V>& tile, std::size_t offset, const typename V::I* codes) {
  using I = typename V::I;
  const I nibble = V::set_int(15);
  for (int pair = 0; pair < 4; ++pair) {
    const I* low = codes + 64 * pair;
    I bytes[32];
    for (int e = 0; e < 32; ++e) {
      bytes[e] = V::or_ints(V::and_ints(low[e], nibble),
                            V::template shift_left<4>(V::and_ints(low[e + 32], nibble)));
    }
    put_bytes<V>(tile, offset + 32 * static_cast<std::size_t>(pair), 32, bytes);
  }
}

template <class V>
void encode_q4_K(const EncodeJob& job) {
  const bool has_importance = job.importance != nullptr;
  for_each_tile<V, 256, sizeof(BlockQ4_K)>(job, [has_importance](const Tile<V>& tile) {
    typename V::I codes[256];
    encode_k_groups_of_32<V, 15>(tile, has_importance, {-1.0F, 0.1F, 20}, codes);
    put_nibbles_of_256<V>(tile, offsetof(BlockQ4_K, qs), codes);
  });
}

template <class V>
void encode_q5_K(const EncodeJob& job) {
  using I = typename V::I;
  static_assert(offsetof(BlockQ5_K, scales) == offsetof(BlockQ4_K, scales));
  const bool has_importance = job.importance != nullptr;
  for_each_tile<V, 256, sizeof(BlockQ5_K)>(job, [has_importance](const Tile<V>& tile) {
    I codes[256];
    encode_k_groups_of_32<V, 31>(tile, has_importance, {-0.5F, 0.1F, 15}, codes);
    I fifth_bits[32];
    for (int e = 0; e < 32; ++e) {
      fifth_bits[e] = V::set_int(0);
      for (int g = 7; g >= 0; --g) {
        fifth_bits[e] = V::or_ints(V::template shift_left<1>(fifth_bits[e]),
                                   V::template shift_right<4>(codes[32 * g + e]));
      }
    }
    put_bytes<V>(tile, offsetof(BlockQ5_K, qh), 32, fifth_bits);
    put_nibbles_of_256<V>(tile, offsetof(BlockQ5_K, qs), codes);
  });
}

}  // namespace
}  // namespace foretoken::quant
