// What the processor can do, asked once per call through the compiler's CPUID helper. Only the
// groups of features that the kernels are compiled for are listed.
#pragma once

namespace foretoken {

/// Groups of instructions that processor and operating system both support. All false on
/// processors other than x86-64.
struct CpuFeatures {
  bool avx2 = false;         ///< AVX2, FMA, F16C and BMI2 (Haswell 2013, Zen)
  bool avx512 = false;       ///< avx2 plus AVX-512 F, BW, VL and DQ (Skylake-X 2017, Zen 4)
  bool avx512_vnni = false;  ///< avx512 plus VNNI and BF16 (Cooper Lake 2020, Zen 4)
};

/// Features of the processor this runs on. Thread-safe.
CpuFeatures detect_cpu_features();

}  // namespace foretoken
