// The kernels of the AVX-512 level with VNNI. See isa_avx2.cpp for the rule about includes.
#if defined(__x86_64__)

#include "kernels/cpu/dot_avx512_vnni.h"
#include "kernels/cpu/matmul_ops.h"

namespace foretoken::kernels {

constinit const MatmulTable kMatmulAvx512Vnni = make_matmul_table<DotAvx512Vnni>();

}  // namespace foretoken::kernels
#endif
