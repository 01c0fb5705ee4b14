// The kernels of the AVX2 level (flags in cmake/kernel_isa.cmake). Includes only vocabularies, op
// templates and tables: any other inline function could be emitted here with instructions that
// some processors lack, and be chosen by the linker for the whole program.
#if defined(__x86_64__)

#include "kernels/cpu/dot_avx2.h"
#include "kernels/cpu/matmul_ops.h"
#include "kernels/cpu/mixer_impl.h"
#include "kernels/cpu/simd_avx2.h"

namespace foretoken::kernels {

constinit const MatmulTable kMatmulAvx2 = make_matmul_table<DotAvx2>();
const MixerTable kMixerAvx2 = make_mixer_table<Avx2>();

}  // namespace foretoken::kernels
#endif
