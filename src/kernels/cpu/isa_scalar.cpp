// The kernels of the plain C++ level. See isa_avx2.cpp for the rule about includes.

namespace foretoken::kernels {
}  // namespace foretoken::kernels
