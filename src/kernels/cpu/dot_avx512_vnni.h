// The vocabulary of the quantized matrix products, AVX-512 with VNNI: dot_avx512.h, but four
// products of bytes are added to a 32-bit lane by one instruction, without saturation.
#pragma once

#include "kernels/cpu/dot_avx512.h"

namespace foretoken::kernels {
namespace {

struct DotAvx512Vnni : DotAvx512 {
  static constexpr int kPanelRowGroups = 2;
  static constexpr bool kSaturates = false;
  static constexpr bool kIsLatencyBound = true;  // 5 cycles a step, two steps a cycle
  using Sum = __m512i;

  template <int kMaxCode>
  static Sum start_sum(Ints start) {
    return start;
  }
  template <int kMaxCode, int kStep>
  static void add_products(Sum& sum, Bytes codes, const std::int8_t* activations) {
    sum = _mm512_dpbusd_epi32(sum, codes, broadcast(activations));
  }
  template <int kMaxCode, int kSteps>
  static Ints finish_sum(Sum sum) {
    return sum;
  }
  static Ints add_ints(Ints a, Ints b) { return _mm512_add_epi32(a, b); }
  static Ints add_pair_products(Ints sum, Ints pairs, Ints pair) {
    return _mm512_dpwssd_epi32(sum, pairs, pair);
  }
};

}  // namespace
}  // namespace foretoken::kernels
