// The readable backend: every operation of ops.h as the plain loops of its formula, accumulating
// in double. It is the oracle that the fast backends are tested against, and a way to run a model
// when a fast kernel is in doubt. Rounding to f32 happens only where a value is stored: outputs,
// cache entries, the recurrent state after each token, and the pending records.
#pragma once

#include "kernels/ops.h"

namespace foretoken::kernels {

/// Single-threaded, stateless. Matrices point into their sources.
class ReferenceOps final : public Ops {
 public:
  std::string_view name() const override { return "reference"; }
  std::unique_ptr<Matrix> pack(const MatrixSource& source) override;
  void project(const Rows& in, std::span<const Projection> out) override;
  void project_swiglu(const Rows& in, const Matrix& gate, const Matrix& up, float* out) override;
  void project_rows(const Rows& in, const Matrix& matrix, std::span<const RowRange> ranges,
                    float* out) override;
  void rms_norm(const Rows& in, float* out) override;
  void store_kv(const StoreKvArgs& args) override;
  void attend(const AttendArgs& args) override;
  void delta_net(const DeltaNetArgs& args) override;
};

}  // namespace foretoken::kernels
