// The kernels of the AVX-512 level with VNNI. See isa_avx2.cpp for the rule about includes.
#if defined(__x86_64__)

namespace foretoken::kernels {
}  // namespace foretoken::kernels
#endif
