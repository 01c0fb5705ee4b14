// Operations that also sum up what goes into chosen weight matrices: for every column the squares
// of its inputs, and how many rows there were. The model's code does not know that it is watched,
// and a program that does not ask for it pays nothing (engine::EngineOptions::wrap_ops).
// Source: docs/imatrix.md, "What is summed".
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "gguf/file.h"
#include "kernels/ops.h"

namespace foretoken::eval {

/// A decorator: every operation is done by the one inside. Like it, one thread at a time.
class InputRecorder final : public kernels::Ops {
 public:
  /// What went into one matrix so far. Sums are in double, added row by row: no result depends on
  /// how the text was cut into batches.
  struct Inputs {
    std::string name;          ///< of the weight in the model file
    std::vector<double> sums;  ///< [cols] sum of squares; not finite once an input was not
    std::uint64_t n_rows = 0;
  };

  explicit InputRecorder(std::unique_ptr<kernels::Ops> inner) : inner_(std::move(inner)) {}

  /// Starts recording for the matrices that were packed from tensors of `file` and whose name
  /// `wanted` accepts. Call once the model is loaded; what was recorded before is forgotten.
  void watch(const gguf::File& file, const std::function<bool(std::string_view name)>& wanted);
  /// One entry per watched matrix, in file order; n_rows is 0 where nothing passed yet.
  const std::vector<Inputs>& inputs() const { return inputs_; }

  std::string_view name() const override { return inner_->name(); }
  std::unique_ptr<kernels::Matrix> pack(const kernels::MatrixSource& source) override;
  void project(const kernels::Rows& in, std::span<const kernels::Projection> out) override;
  void project_swiglu(const kernels::Rows& in, const kernels::Matrix& gate,
                      const kernels::Matrix& up, float* out) override;
  void project_rows(const kernels::Rows& in, const kernels::Matrix& matrix,
                    std::span<const kernels::RowRange> ranges, float* out) override;
  void rms_norm(const kernels::Rows& in, float* out) override { inner_->rms_norm(in, out); }
  void store_kv(const kernels::StoreKvArgs& args) override { inner_->store_kv(args); }
  void attend(const kernels::AttendArgs& args) override { inner_->attend(args); }
  void delta_net(const kernels::DeltaNetArgs& args) override { inner_->delta_net(args); }

 private:
  void record(const kernels::Rows& in, const kernels::Matrix& matrix, const float*& x);
  const float* normalised(const kernels::Rows& in);

  std::unique_ptr<kernels::Ops> inner_;
  std::unordered_map<const std::byte*, const kernels::Matrix*> packed_;  // by where they came from
  std::unordered_map<const kernels::Matrix*, std::size_t> watched_;      // -> index in inputs_
  std::vector<Inputs> inputs_;
  std::vector<float> scratch_;  // rows after their norm
};

}  // namespace foretoken::eval
