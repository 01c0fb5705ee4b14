// Grow-only working memory of the CPU backend's matrix products: the activations in the forms the
// kernels read, and a workspace per thread. Steady state allocates nothing.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/thread_pool.h"
#include "kernels/cpu/matmul_table.h"
#include "kernels/ops.h"

namespace foretoken::kernels {

/// Cuts n tokens into strips of at most max_width. Requires n >= 1.
Strips cut_into_strips(int n, int max_width);
/// First token of strip s.
int strip_begin(const Strips& strips, int s);
/// Tokens in strip s.
int strip_width(const Strips& strips, int s);

/// Columns of a matrix after padding to whole tiles of any layout that reads this kind.
int padded_cols(ActivationKind kind, int cols);

/// A row range of project_rows as a run of row groups.
struct GroupRun {
  int first_item;   ///< row groups in the ranges before it
  int first_group;  ///< in the matrix
  int out_begin;    ///< rows in the ranges before it
};

class MatmulScratch {
 public:
  /// Normalises (if asked to) and converts `in` for matrices of the given layouts.
  void prepare(const Rows& in, std::span<const Layout> layouts, const MatmulTable& table,
               ThreadPool& pool);
  /// What `prepare` made for a layout. Valid until the next prepare.
  Activations view(Layout layout) const;

  /// Workspaces for every thread of the pool: a panel, and n_floats floats.
  void grow_workspaces(int n_threads, std::size_t n_floats);
  std::byte* panel(int thread) const { return panels_[static_cast<std::size_t>(thread)].data(); }
  float* floats(int thread) const { return floats_[static_cast<std::size_t>(thread)].data(); }

  std::vector<GroupRun> runs;  ///< of the current project_rows

 private:
  struct Quantized {
    AlignedBuffer<std::int8_t> q;
    AlignedBuffer<float> d;
    AlignedBuffer<std::int32_t> sums;
  };
  void grow(int n, int width);
  void prepare_strip(const Rows& in, const MatmulTable& table, int strip, float* rows);
  void correct_strip(Correction correction, int strip);

  Strips strips_{};
  int width_ = 0;
  std::array<bool, kNumActivationKinds> wants_kind_{};
  std::array<bool, kNumCorrections> wants_correction_{};
  AlignedBuffer<float> floats_in_;
  Quantized super_;
  Quantized small_;
  std::array<AlignedBuffer<std::int32_t>, kNumCorrections> corrections_;
  std::vector<AlignedBuffer<float>> rows_;
  std::vector<AlignedBuffer<std::byte>> panels_;
  std::vector<AlignedBuffer<float>> floats_;
};

}  // namespace foretoken::kernels
