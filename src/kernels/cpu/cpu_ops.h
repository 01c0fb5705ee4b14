// The fast CPU backend. One class for every instruction set: it checks shapes, splits work over the
// pool and keeps scratch memory; the arithmetic is behind two tables of function pointers, filled
// once per instruction set by isa_*.cpp and chosen when the object is made.
#pragma once

#include <memory>
#include <string>

#include "base/aligned_buffer.h"
#include "base/thread_pool.h"
#include "kernels/ops.h"

namespace foretoken::kernels {

struct MatmulTable;   // matmul_table.h
struct MixerTable;    // mixer_table.h
class MatmulScratch;  // matmul_scratch.h

/// Ops on one CpuLevel.
class CpuOps final : public Ops {
 public:
  /// `pool` must outlive the object. Requires a level from available_cpu_levels().
  CpuOps(ThreadPool& pool, CpuLevel level);
  CpuOps(const CpuOps&) = delete;
  CpuOps& operator=(const CpuOps&) = delete;
  ~CpuOps() override;

  std::string_view name() const override { return name_; }

  // cpu_ops_matmul.cpp
  std::unique_ptr<Matrix> pack(const MatrixSource& source) override;
  void project(const Rows& in, std::span<const Projection> out) override;
  void project_swiglu(const Rows& in, const Matrix& gate, const Matrix& up, float* out) override;
  void project_rows(const Rows& in, const Matrix& matrix, std::span<const RowRange> ranges,
                    float* out) override;
  void rms_norm(const Rows& in, float* out) override;

  // cpu_ops_mixer.cpp
  void store_kv(const StoreKvArgs& args) override;
  void attend(const AttendArgs& args) override;
  void delta_net(const DeltaNetArgs& args) override;

 private:
  ThreadPool& pool_;
  CpuLevel level_;
  std::string name_;
  const MatmulTable& matmul_;
  const MixerTable& mixer_;
  std::unique_ptr<MatmulScratch> matmul_scratch_;
  AlignedBuffer<float> mixer_scratch_;  ///< grow-only, for cpu_ops_mixer.cpp
};

/// The tables of a level. Each is defined beside the operations that use it: matmul_table in
/// cpu_ops_matmul.cpp, mixer_table in cpu_ops_mixer.cpp.
const MatmulTable& matmul_table(CpuLevel level);
const MixerTable& mixer_table(CpuLevel level);

}  // namespace foretoken::kernels
