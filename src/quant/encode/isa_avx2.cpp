// The encoders of the AVX2 level (flags in cmake/kernel_isa.cmake). Includes only vocabularies,
// templates and tables: any other inline function could be emitted here with instructions that
// some processors lack, and be chosen by the linker for the whole program.
#if defined(__x86_64__)

#include "quant/encode/encode_all.h"
#include "quant/encode/lanes_avx2.h"

namespace foretoken::quant {

constinit const EncodeTable kEncodeAvx2 = make_encode_table<LanesAvx2>();

}  // namespace foretoken::quant
#endif
