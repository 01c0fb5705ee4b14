// The kernels of the AVX-512 level without VNNI. See isa_avx2.cpp for the rule about includes.
#if defined(__x86_64__)

#include "kernels/cpu/dot_avx512.h"
#include "kernels/cpu/matmul_ops.h"
#include "kernels/cpu/mixer_impl.h"
#include "kernels/cpu/simd_avx512.h"

namespace foretoken::kernels {

constinit const MatmulTable kMatmulAvx512 = make_matmul_table<DotAvx512>();
const MixerTable kMixerAvx512 = make_mixer_table<Avx512>();

}  // namespace foretoken::kernels
#endif
