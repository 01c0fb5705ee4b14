// The kernels of the plain C++ level. See isa_avx2.cpp for the rule about includes.

#include "kernels/cpu/dot_scalar.h"
#include "kernels/cpu/matmul_ops.h"
#include "kernels/cpu/mixer_impl.h"
#include "kernels/cpu/simd_scalar.h"

namespace foretoken::kernels {

constinit const MatmulTable kMatmulScalar = make_matmul_table<DotScalar>();
const MixerTable kMixerScalar = make_mixer_table<Scalar>();

}  // namespace foretoken::kernels
