#include "eval/input_recorder.h"

namespace foretoken::eval {
namespace {

void add_squares(const float* x, int n, std::size_t width, InputRecorder::Inputs& inputs) {
  for (int row = 0; row < n; ++row) {
    for (std::size_t c = 0; c < width; ++c) {
      const double value = x[static_cast<std::size_t>(row) * width + c];
      inputs.sums[c] += value * value;
    }
  }
  inputs.n_rows += static_cast<std::uint64_t>(n);
}

}  // namespace

void InputRecorder::watch(const gguf::File& file,
                          const std::function<bool(std::string_view)>& wanted) {
  watched_.clear();
  inputs_.clear();
  for (const gguf::TensorInfo& tensor : file.tensors()) {
    if (!wanted(tensor.name)) continue;
    // A matrix is known by the place of its bytes in the mapped file, so names stay the loader's.
    const auto found = packed_.find(file.data(tensor).data());
    if (found == packed_.end()) continue;  // a norm, or the table of embeddings
    const auto width = static_cast<std::size_t>(found->second->cols());
    watched_.emplace(found->second, inputs_.size());
    inputs_.push_back({tensor.name, std::vector<double>(width), 0});
  }
}

std::unique_ptr<kernels::Matrix> InputRecorder::pack(const kernels::MatrixSource& source) {
  auto matrix = inner_->pack(source);
  packed_[source.data] = matrix.get();
  return matrix;
}

// What the product really reads: the contract puts the norm before the matrix.
const float* InputRecorder::normalised(const kernels::Rows& in) {
  if (in.norm == nullptr) return in.x;
  const std::size_t size = static_cast<std::size_t>(in.n) * static_cast<std::size_t>(in.width);
  if (scratch_.size() < size) scratch_.resize(size);
  inner_->rms_norm(in, scratch_.data());
  return scratch_.data();
}

// Adds the rows to what `matrix` saw. `x` is the rows after their norm, made by the first matrix
// that needs it and shared by those that follow in the same call.
void InputRecorder::record(const kernels::Rows& in, const kernels::Matrix& matrix,
                           const float*& x) {
  const auto found = watched_.find(&matrix);
  if (found == watched_.end()) return;
  if (x == nullptr) x = normalised(in);
  add_squares(x, in.n, static_cast<std::size_t>(in.width), inputs_[found->second]);
}

// Recording comes first in each: an output may be added into the rows that were the input.

void InputRecorder::project(const kernels::Rows& in, std::span<const kernels::Projection> out) {
  const float* x = nullptr;
  for (const kernels::Projection& projection : out) record(in, *projection.matrix, x);
  inner_->project(in, out);
}

void InputRecorder::project_swiglu(const kernels::Rows& in, const kernels::Matrix& gate,
                                   const kernels::Matrix& up, float* out) {
  const float* x = nullptr;
  record(in, gate, x);
  record(in, up, x);
  inner_->project_swiglu(in, gate, up, out);
}

void InputRecorder::project_rows(const kernels::Rows& in, const kernels::Matrix& matrix,
                                 std::span<const kernels::RowRange> ranges, float* out) {
  const float* x = nullptr;
  record(in, matrix, x);
  inner_->project_rows(in, matrix, ranges, out);
}

}  // namespace foretoken::eval
