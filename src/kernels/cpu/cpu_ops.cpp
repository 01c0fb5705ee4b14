// Construction of the CPU backend and the choice of an instruction set at run time.
#include "kernels/cpu/cpu_ops.h"

#include <algorithm>
#include <vector>

#include "base/cpu_features.h"
#include "base/error.h"
#include "kernels/cpu/matmul_scratch.h"

namespace foretoken::kernels {

std::string_view cpu_level_name(CpuLevel level) {
  switch (level) {
    case CpuLevel::Scalar:
      return "scalar";
    case CpuLevel::Avx2:
      return "avx2";
    case CpuLevel::Avx512:
      return "avx512";
    case CpuLevel::Avx512Vnni:
      return "avx512-vnni";
  }
  return "unknown";
}

std::span<const CpuLevel> available_cpu_levels() {
  static const std::vector<CpuLevel> levels = [] {
    const CpuFeatures features = detect_cpu_features();
    std::vector<CpuLevel> found{CpuLevel::Scalar};
    if (features.avx2) found.push_back(CpuLevel::Avx2);
    if (features.avx512) found.push_back(CpuLevel::Avx512);
    if (features.avx512_vnni) found.push_back(CpuLevel::Avx512Vnni);
    return found;
  }();
  return levels;
}

CpuOps::CpuOps(ThreadPool& pool, CpuLevel level)
    : pool_(pool),
      level_(level),
      name_(std::string(cpu_level_name(level)) + ", " + std::to_string(pool.size()) +
            (pool.size() == 1 ? " thread" : " threads")),
      matmul_(matmul_table(level)),
      mixer_(mixer_table(level)),
      matmul_scratch_(std::make_unique<MatmulScratch>()) {}

CpuOps::~CpuOps() = default;

std::unique_ptr<Ops> make_cpu_ops(ThreadPool& pool, CpuLevel level) {
  const std::span<const CpuLevel> levels = available_cpu_levels();
  if (std::find(levels.begin(), levels.end(), level) == levels.end()) {
    std::string text = "this processor cannot run the instruction set \"" +
                       std::string(cpu_level_name(level)) + "\"; it has:";
    for (CpuLevel available : levels) text.append(" ").append(cpu_level_name(available));
    throw UnsupportedError(text);
  }
  return std::make_unique<CpuOps>(pool, level);
}

}  // namespace foretoken::kernels
