// The table of one instruction set: every encoder, over the vocabulary V.
#pragma once

#include "quant/encode/encode_codebook.h"
#include "quant/encode/encode_float.h"
#include "quant/encode/encode_fp4.h"
#include "quant/encode/encode_k_affine.h"
#include "quant/encode/encode_k_symmetric.h"
#include "quant/encode/encode_legacy.h"
#include "quant/encode/encode_small.h"
#include "quant/encode/encode_table.h"

namespace foretoken::quant {
namespace {

template <class V>
constexpr EncodeTable make_encode_table() {
  return {.f16 = encode_f16<V>,
          .bf16 = encode_bf16<V>,
          .q8_0 = encode_q8_0<V>,
          .q4_0 = encode_zero_centred<V, 4>,
          .q4_1 = encode_with_minimum<V, 4>,
          .q5_0 = encode_zero_centred<V, 5>,
          .q5_1 = encode_with_minimum<V, 5>,
          .q2_K = encode_q2_K<V>,
          .q3_K = encode_q3_K<V>,
          .q4_K = encode_q4_K<V>,
          .q5_K = encode_q5_K<V>,
          .q6_K = encode_q6_K<V>,
          .iq4_nl = encode_iq4_nl<V>,
          .iq4_xs = encode_iq4_xs<V>,
          .mxfp4 = encode_mxfp4<V>,
          .nvfp4 = encode_nvfp4<V>,
          .q1_0 = encode_q1_0<V>,
          .q2_0 = encode_q2_0<V>};
}

}  // namespace
}  // namespace foretoken::quant
