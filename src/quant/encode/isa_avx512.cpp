// The encoders of the AVX-512 level (flags in cmake/kernel_isa.cmake). See isa_avx2.cpp for the
// rule about includes.
#if defined(__x86_64__)

#include "quant/encode/encode_all.h"
#include "quant/encode/lanes_avx512.h"

namespace foretoken::quant {

constinit const EncodeTable kEncodeAvx512 = make_encode_table<LanesAvx512>();

}  // namespace foretoken::quant
#endif
