// The kernels of the plain C++ level. See isa_avx2.cpp for the rule about includes.

#include "kernels/cpu/mixer_impl.h"
#include "kernels/cpu/simd_scalar.h"

namespace foretoken::kernels {

const MixerTable kMixerScalar = make_mixer_table<Scalar>();

}  // namespace foretoken::kernels
