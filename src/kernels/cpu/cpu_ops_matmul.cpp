// Matrix products of the CPU backend: each call prepares the activations once, then runs one
// parallel region over the row groups of all matrices. A thread computes whole row groups into its
// workspace and copies (or adds, or joins by SwiGLU) the result to the caller's rows.
#include <algorithm>
#include <array>

#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/matmul_scratch.h"
#include "kernels/cpu/matmul_table.h"
#include "kernels/cpu/pack_weights.h"

namespace foretoken::kernels {
namespace {

class CpuMatrix final : public Matrix {
 public:
  CpuMatrix(const MatrixSource& source, ThreadPool& pool)
      : Matrix(source.rows, source.cols, source.type),
        layout_(layout_of(source.type)),
        shape_(packed_shape(layout_, source.rows, source.cols)),
        data_(static_cast<std::size_t>(shape_.n_groups) * shape_.group_bytes) {
    data_.prefer_large_pages();
    constexpr int kGrain = 4;
    pool.parallel_for(shape_.n_groups, kGrain, [&](int begin, int end, int) {
      pack_groups(source, layout_, begin, end, data_.data());
    });
  }

  std::size_t size_bytes() const override { return data_.size(); }
  Layout layout() const { return layout_; }
  int n_groups() const { return shape_.n_groups; }
  int n_tiles() const { return shape_.n_tiles; }
  const std::byte* group(int index) const {
    return data_.data() + static_cast<std::size_t>(index) * shape_.group_bytes;
  }

 private:
  Layout layout_;
  PackedShape shape_;
  AlignedBuffer<std::byte> data_;
};

const CpuMatrix& as_cpu(const Matrix& matrix) {
  return static_cast<const CpuMatrix&>(matrix);  // made by our own pack(), as ops.h demands
}

// Row groups that a thread takes at a time: enough pieces to even out unequal threads, but a few
// neighbours, so that prefetching past the end of one row group fetches the next.
int groups_per_piece(int n, int n_groups, int n_threads) {
  if (n > kDirectColumns) return kPanelGroups;
  return std::clamp(n_groups / (8 * n_threads), 1, 8);
}

// Layouts of a few matrices, for MatmulScratch::prepare.
class LayoutList {
 public:
  void add(Layout layout) {
    if (std::find(layouts_.begin(), layouts_.begin() + count_, layout) != layouts_.begin() + count_)
      return;
    layouts_[static_cast<std::size_t>(count_++)] = layout;
  }
  std::span<const Layout> span() const {
    return {layouts_.data(), static_cast<std::size_t>(count_)};
  }

 private:
  std::array<Layout, kNumLayouts> layouts_{};
  int count_ = 0;
};

// A piece of work: row groups [begin, begin + count) of a matrix.
struct Groups {
  const CpuMatrix* matrix;
  int begin;
  int count;
  int first_row() const { return begin * kGroupRows; }
  int n_rows() const { return std::min(count * kGroupRows, matrix->rows() - first_row()); }
};

// Floats between the tokens of a result: whole panels (see MatmulTask).
std::ptrdiff_t result_stride(int n_groups) {
  return static_cast<std::ptrdiff_t>((n_groups + kPanelGroups - 1) / kPanelGroups) * kPanelGroups *
         kGroupRows;
}

// Computes a piece into `out` [n, result_stride].
void multiply(const MatmulTable& table, const MatmulScratch& scratch, const Groups& groups,
              int thread, float* out) {
  MatmulTask task{};
  task.weights = groups.matrix->group(groups.begin);
  task.n_groups = groups.count;
  task.n_tiles = groups.matrix->n_tiles();
  task.in = scratch.view(groups.matrix->layout());
  task.out = out;
  task.out_stride = result_stride(groups.count);
  task.panel = scratch.panel(thread);
  table.multiply[static_cast<std::size_t>(groups.matrix->layout())](task);
}

// Copies or adds rows of `width` floats between arrays of different strides.
void write_rows(const float* from, int n, int width, std::ptrdiff_t from_stride, float* to,
                std::ptrdiff_t to_stride, bool add) {
  for (int t = 0; t < n; ++t, from += from_stride, to += to_stride) {
    if (add) {
      for (int i = 0; i < width; ++i) to[i] += from[i];
    } else {
      std::copy_n(from, width, to);
    }
  }
}

}  // namespace

std::unique_ptr<Matrix> CpuOps::pack(const MatrixSource& source) {
  return std::make_unique<CpuMatrix>(source, pool_);
}

void CpuOps::project(const Rows& in, std::span<const Projection> out) {
  if (in.n == 0 || out.empty()) return;
  LayoutList layouts;
  int n_items = 0;
  for (const Projection& projection : out) {
    layouts.add(as_cpu(*projection.matrix).layout());
    n_items += as_cpu(*projection.matrix).n_groups();
  }
  MatmulScratch& scratch = *matmul_scratch_;
  scratch.prepare(in, layouts.span(), matmul_, pool_);
  const int grain = groups_per_piece(in.n, n_items, pool_.size());
  scratch.grow_workspaces(pool_.size(), static_cast<std::size_t>(in.n) *
                                            static_cast<std::size_t>(result_stride(grain)));
  pool_.parallel_for(n_items, grain, [&](int begin, int end, int thread) {
    int first = 0;  // item of the projection's first row group
    for (const Projection& projection : out) {
      const CpuMatrix& matrix = as_cpu(*projection.matrix);
      const int from = std::max(begin, first) - first;
      const int to = std::min(end, first + matrix.n_groups()) - first;
      first += matrix.n_groups();
      if (from >= to) continue;
      const Groups groups{&matrix, from, to - from};
      float* result = scratch.floats(thread);
      multiply(matmul_, scratch, groups, thread, result);
      write_rows(result, in.n, groups.n_rows(), result_stride(groups.count),
                 projection.out + groups.first_row(), matrix.rows(), projection.add);
    }
  });
}

void CpuOps::project_swiglu(const Rows& in, const Matrix& gate, const Matrix& up, float* out) {
  if (in.n == 0) return;
  const CpuMatrix& gates = as_cpu(gate);
  const CpuMatrix& ups = as_cpu(up);
  LayoutList layouts;
  layouts.add(gates.layout());
  layouts.add(ups.layout());
  MatmulScratch& scratch = *matmul_scratch_;
  scratch.prepare(in, layouts.span(), matmul_, pool_);
  const int grain = groups_per_piece(in.n, gates.n_groups(), pool_.size());
  const auto half = static_cast<std::size_t>(in.n) * static_cast<std::size_t>(result_stride(grain));
  scratch.grow_workspaces(pool_.size(), 2 * half);
  pool_.parallel_for(gates.n_groups(), grain, [&](int begin, int end, int thread) {
    const Groups groups{&gates, begin, end - begin};
    float* g = scratch.floats(thread);
    float* u = g + half;
    multiply(matmul_, scratch, groups, thread, g);
    multiply(matmul_, scratch, Groups{&ups, begin, end - begin}, thread, u);
    const std::ptrdiff_t stride = result_stride(groups.count);
    for (std::ptrdiff_t t = 0; t < in.n; ++t) {
      matmul_.swiglu(g + t * stride, u + t * stride, groups.n_rows(),
                     out + t * gates.rows() + groups.first_row());
    }
  });
}

void CpuOps::project_rows(const Rows& in, const Matrix& matrix, std::span<const RowRange> ranges,
                          float* out) {
  const CpuMatrix& weights = as_cpu(matrix);
  MatmulScratch& scratch = *matmul_scratch_;
  std::vector<GroupRun>& runs = scratch.runs;
  runs.clear();
  int n_items = 0;
  int n_rows = 0;
  for (const RowRange& range : ranges) {
    if (range.count == 0) continue;
    runs.push_back({n_items, range.begin / kGroupRows, n_rows});
    n_items += (range.count + kGroupRows - 1) / kGroupRows;
    n_rows += range.count;
  }
  if (in.n == 0 || n_items == 0) return;
  const Layout layout = weights.layout();
  scratch.prepare(in, {&layout, 1}, matmul_, pool_);
  const int grain = groups_per_piece(in.n, n_items, pool_.size());
  scratch.grow_workspaces(pool_.size(), static_cast<std::size_t>(in.n) *
                                            static_cast<std::size_t>(result_stride(grain)));
  pool_.parallel_for(n_items, grain, [&](int begin, int end, int thread) {
    auto run = std::upper_bound(runs.begin(), runs.end(), begin,
                                [](int item, const GroupRun& r) { return item < r.first_item; }) -
               1;
    for (; begin < end; ++run) {
      const int run_end = run + 1 == runs.end() ? n_items : run[1].first_item;
      const int count = std::min(end, run_end) - begin;
      const Groups groups{&weights, run->first_group + begin - run->first_item, count};
      float* result = scratch.floats(thread);
      multiply(matmul_, scratch, groups, thread, result);
      write_rows(result, in.n, groups.n_rows(), result_stride(count),
                 out + run->out_begin + (begin - run->first_item) * kGroupRows, n_rows, false);
      begin += count;
    }
  });
}

void CpuOps::rms_norm(const Rows& in, float* out) {
  constexpr int kSerialTokens = 16;
  const int grain = in.n <= kSerialTokens ? in.n : kSerialTokens;
  pool_.parallel_for(in.n, grain, [&](int begin, int end, int) {
    for (int t = begin; t < end; ++t) {
      const std::ptrdiff_t start = static_cast<std::ptrdiff_t>(t) * in.width;
      matmul_.rms_norm(in.x + start, in.norm, in.eps, in.width, out + start);
    }
  });
}

const MatmulTable& matmul_table(CpuLevel level) {
  switch (level) {
#if defined(__x86_64__)
    case CpuLevel::Avx2:
      return kMatmulAvx2;
    case CpuLevel::Avx512:
      return kMatmulAvx512;
    case CpuLevel::Avx512Vnni:
      return kMatmulAvx512Vnni;
#endif
    default:
      return kMatmulScalar;
  }
}

}  // namespace foretoken::kernels
