// Rotation angles of interleaved multimodal RoPE.
//   freq_i = base^(-2i / n_rot),  angle_i = position[axis(i)] * freq_i,  i = 0 .. n_rot/2 - 1
//   axis(i) = height if i % 3 == 1 and i < 3*sections[1]; width if i % 3 == 2 and i <
//   3*sections[2];
//             time otherwise
// For text the three positions of a token are equal and this is ordinary partial RoPE.
// Source: docs/qwen35.md, "Rotary embedding"; Hugging Face modeling_qwen3_5.py.
#pragma once

#include <span>
#include <vector>

#include "kernels/ops.h"
#include "model/qwen35/config.h"

namespace foretoken::model::qwen35 {

/// Rotary position of a token: all equal for text.
struct RopePosition {
  int time = 0;
  int height = 0;
  int width = 0;
};

/// Which coordinate pair `i` rotates by: 0 time, 1 height, 2 width.
int rope_axis(const Config& config, int pair);

/// cos and sin of a batch, kept for all its layers.
class RopeTable {
 public:
  explicit RopeTable(const Config& config);

  /// Computes the angles of these tokens. Frequencies and angles are rounded to f32 as the
  /// reference implementation does (f32 frequency times integer position), cosines taken in double.
  void set(std::span<const RopePosition> positions);

  /// Angles of tokens first, first+1, ... of the batch. Valid until the next `set`.
  kernels::RopeAngles angles(int first = 0) const;

 private:
  int n_pairs_;
  std::vector<int> axis_;
  std::vector<float> frequency_;
  std::vector<float> cos_;
  std::vector<float> sin_;
};

}  // namespace foretoken::model::qwen35
