#include "model/qwen35/rope.h"

#include <cmath>

namespace foretoken::model::qwen35 {

int rope_axis(const Config& config, int pair) {
  if (pair % 3 == 1 && pair < 3 * config.rope_sections[1]) return 1;
  if (pair % 3 == 2 && pair < 3 * config.rope_sections[2]) return 2;
  return 0;
}

RopeTable::RopeTable(const Config& config) : n_pairs_(config.n_rot / 2) {
  for (int pair = 0; pair < n_pairs_; ++pair) {
    axis_.push_back(rope_axis(config, pair));
    const double exponent = -2.0 * pair / config.n_rot;
    frequency_.push_back(
        static_cast<float>(std::pow(static_cast<double>(config.rope_base), exponent)));
  }
}

void RopeTable::set(std::span<const RopePosition> positions) {
  const std::size_t pairs = static_cast<std::size_t>(n_pairs_);
  cos_.resize(positions.size() * pairs);
  sin_.resize(positions.size() * pairs);
  for (std::size_t t = 0; t < positions.size(); ++t) {
    const int coordinate[3] = {positions[t].time, positions[t].height, positions[t].width};
    for (std::size_t i = 0; i < pairs; ++i) {
      const float angle = static_cast<float>(coordinate[axis_[i]]) * frequency_[i];
      cos_[t * pairs + i] = static_cast<float>(std::cos(static_cast<double>(angle)));
      sin_[t * pairs + i] = static_cast<float>(std::sin(static_cast<double>(angle)));
    }
  }
}

kernels::RopeAngles RopeTable::angles(int first) const {
  const std::size_t offset = static_cast<std::size_t>(first) * static_cast<std::size_t>(n_pairs_);
  return {cos_.data() + offset, sin_.data() + offset, n_pairs_};
}

}  // namespace foretoken::model::qwen35
