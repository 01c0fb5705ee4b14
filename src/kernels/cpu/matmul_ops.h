// Fills the table of matrix kernels for one instruction set from the templates.
#pragma once

#include "kernels/cpu/matmul_direct.h"
#include "kernels/cpu/matmul_float_panel.h"
#include "kernels/cpu/matmul_panel.h"
#include "kernels/cpu/matmul_prepare.h"

namespace foretoken::kernels {
namespace {

inline int n_tokens(const MatmulTask& task) {
  return task.in.strips.count * task.in.strips.width + task.in.strips.n_wide;
}

template <class V, class F>
void multiply_super(const MatmulTask& task) {
  if (n_tokens(task) <= kDirectColumns) {
    multiply_super_direct<V, F>(task);
  } else {
    multiply_super_panels<V, F>(task);
  }
}
template <class V, class F>
void multiply_small(const MatmulTask& task) {
  if (n_tokens(task) <= kDirectColumns) {
    multiply_small_direct<V, F>(task);
  } else {
    multiply_small_panels<V, F>(task);
  }
}
template <class V, class F>
void multiply_float(const MatmulTask& task) {
  if (n_tokens(task) <= kDirectColumns) {
    multiply_float_direct<V, F>(task);
  } else {
    multiply_float_panels<V, F>(task);
  }
}

template <class V>
consteval MatmulTable make_matmul_table() {
  MatmulTable table{};
  table.strip_columns = V::kStripColumns;
  const auto at = [](Layout layout) { return static_cast<int>(layout); };
  table.multiply[at(Layout::F32)] = multiply_float<V, FormatF32>;
  table.multiply[at(Layout::F16)] = multiply_float<V, FormatF16>;
  table.multiply[at(Layout::BF16)] = multiply_float<V, FormatBF16>;
  table.multiply[at(Layout::Q8_0)] = multiply_small<V, FormatQ8_0>;
  table.multiply[at(Layout::Q4_0)] = multiply_small<V, FormatQ4_0>;
  table.multiply[at(Layout::Q4_1)] = multiply_small<V, FormatQ4_1>;
  table.multiply[at(Layout::Q5_0)] = multiply_small<V, FormatQ5_0>;
  table.multiply[at(Layout::Q5_1)] = multiply_small<V, FormatQ5_1>;
  table.multiply[at(Layout::IQ4_NL)] = multiply_small<V, FormatIQ4_NL>;
  table.multiply[at(Layout::MXFP4)] = multiply_small<V, FormatMXFP4>;
  table.multiply[at(Layout::Q2_K)] = multiply_super<V, FormatQ2_K>;
  table.multiply[at(Layout::Q3_K)] = multiply_super<V, FormatQ3_K>;
  table.multiply[at(Layout::Q4_K)] = multiply_super<V, FormatQ4_K>;
  table.multiply[at(Layout::Q5_K)] = multiply_super<V, FormatQ5_K>;
  table.multiply[at(Layout::Q6_K)] = multiply_super<V, FormatQ6_K>;
  table.multiply[at(Layout::IQ4_XS)] = multiply_super<V, FormatIQ4_XS>;
  table.rms_norm = rms_norm_row<V>;
  table.quantize_super = quantize_super_row<V>;
  table.quantize_small = quantize_small_row<V>;
  table.swiglu = swiglu_row<V>;
  return table;
}

}  // namespace
}  // namespace foretoken::kernels
