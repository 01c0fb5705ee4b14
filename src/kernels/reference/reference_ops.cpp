// Matrix products and norms of the readable backend: decode one weight row at a time, multiply it
// with every token's row in double.
#include "kernels/reference/reference_ops.h"

#include <cmath>
#include <vector>

namespace foretoken::kernels {
namespace {

class ReferenceMatrix final : public Matrix {
 public:
  explicit ReferenceMatrix(const MatrixSource& source)
      : Matrix(source.rows, source.cols, source.type), data_(source.data) {}

  std::size_t size_bytes() const override { return sizeof(*this); }

  void decode_row(int row, std::vector<float>& out) const {
    const auto width = static_cast<std::size_t>(cols());
    out.resize(width);
    quant::dequantize_row(type(),
                          data_ + static_cast<std::size_t>(row) * quant::row_bytes(type(), width),
                          out.data(), width);
  }

 private:
  const std::byte* data_;
};

const ReferenceMatrix& as_reference(const Matrix& matrix) {
  return static_cast<const ReferenceMatrix&>(matrix);  // made by our own pack(), as ops.h demands
}

// [n, width], normalised if the input asks for it.
std::vector<double> read_rows(const Rows& in) {
  const auto width = static_cast<std::size_t>(in.width);
  std::vector<double> rows(static_cast<std::size_t>(in.n) * width);
  for (std::size_t t = 0; t < static_cast<std::size_t>(in.n); ++t) {
    const float* x = in.x + t * width;
    double scale = 1.0;
    if (in.norm != nullptr) {
      double sum = 0.0;
      for (std::size_t c = 0; c < width; ++c) sum += static_cast<double>(x[c]) * x[c];
      scale = 1.0 / std::sqrt(sum / in.width + static_cast<double>(in.eps));
    }
    for (std::size_t c = 0; c < width; ++c) {
      rows[t * width + c] = in.norm != nullptr ? x[c] * scale * in.norm[c] : x[c];
    }
  }
  return rows;
}

double dot(const std::vector<float>& weights, const double* x) {
  double sum = 0.0;
  for (std::size_t c = 0; c < weights.size(); ++c) sum += weights[c] * x[c];
  return sum;
}

double silu(double x) { return x / (1.0 + std::exp(-x)); }

}  // namespace

std::unique_ptr<Matrix> ReferenceOps::pack(const MatrixSource& source) {
  return std::make_unique<ReferenceMatrix>(source);
}

void ReferenceOps::project(const Rows& in, std::span<const Projection> out) {
  const std::vector<double> x = read_rows(in);
  std::vector<float> weights;
  for (const Projection& projection : out) {
    const ReferenceMatrix& matrix = as_reference(*projection.matrix);
    for (int row = 0; row < matrix.rows(); ++row) {
      matrix.decode_row(row, weights);
      for (std::size_t t = 0; t < static_cast<std::size_t>(in.n); ++t) {
        const double y = dot(weights, x.data() + t * static_cast<std::size_t>(in.width));
        float& target =
            projection
                .out[t * static_cast<std::size_t>(matrix.rows()) + static_cast<std::size_t>(row)];
        target = static_cast<float>(projection.add ? static_cast<double>(target) + y : y);
      }
    }
  }
}

void ReferenceOps::project_swiglu(const Rows& in, const Matrix& gate, const Matrix& up,
                                  float* out) {
  const std::vector<double> x = read_rows(in);
  std::vector<float> gate_row;
  std::vector<float> up_row;
  for (int row = 0; row < gate.rows(); ++row) {
    as_reference(gate).decode_row(row, gate_row);
    as_reference(up).decode_row(row, up_row);
    for (std::size_t t = 0; t < static_cast<std::size_t>(in.n); ++t) {
      const double* token = x.data() + t * static_cast<std::size_t>(in.width);
      out[t * static_cast<std::size_t>(gate.rows()) + static_cast<std::size_t>(row)] =
          static_cast<float>(silu(dot(gate_row, token)) * dot(up_row, token));
    }
  }
}

void ReferenceOps::project_rows(const Rows& in, const Matrix& matrix,
                                std::span<const RowRange> ranges, float* out) {
  const std::vector<double> x = read_rows(in);
  std::size_t n_out = 0;
  for (const RowRange& range : ranges) n_out += static_cast<std::size_t>(range.count);
  std::vector<float> weights;
  std::size_t column = 0;
  for (const RowRange& range : ranges) {
    for (int row = range.begin; row < range.begin + range.count; ++row, ++column) {
      as_reference(matrix).decode_row(row, weights);
      for (std::size_t t = 0; t < static_cast<std::size_t>(in.n); ++t) {
        out[t * n_out + column] =
            static_cast<float>(dot(weights, x.data() + t * static_cast<std::size_t>(in.width)));
      }
    }
  }
}

void ReferenceOps::rms_norm(const Rows& in, float* out) {
  const std::vector<double> x = read_rows(in);
  for (std::size_t i = 0; i < x.size(); ++i) out[i] = static_cast<float>(x[i]);
}

std::unique_ptr<Ops> make_reference_ops() { return std::make_unique<ReferenceOps>(); }

}  // namespace foretoken::kernels
