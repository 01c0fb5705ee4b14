#include "kernels/cpu/matmul_scratch.h"

#include <algorithm>
#include <bit>

namespace foretoken::kernels {
namespace {

// Groups of columns whose code sums are kept.
constexpr int kSuperGroup = 16;
constexpr int kSmallGroup = 32;

std::size_t size(int n) { return static_cast<std::size_t>(n); }

ActivationKind kind_of(Correction correction) {
  switch (correction) {
    case Correction::None:
      return ActivationKind::Float;
    case Correction::Pairs16:
    case Correction::Pairs32:
    case Correction::Offset4:
    case Correction::Offset32:
    case Correction::Offset128:
      return ActivationKind::Super;
    case Correction::Small8:
    case Correction::Small12:
    case Correction::Small16:
    case Correction::Small128:
    case Correction::SmallSums:
      return ActivationKind::Small;
  }
  return ActivationKind::Float;
}

// Columns of the matrix per number of a correction.
int columns_per_number(Correction correction) {
  switch (correction) {
    case Correction::Offset4:
    case Correction::Offset32:
      return 16;
    case Correction::Pairs16:
    case Correction::Offset128:
    case Correction::Small8:
    case Correction::Small12:
    case Correction::Small16:
    case Correction::Small128:
    case Correction::SmallSums:
      return 32;
    case Correction::Pairs32:
      return 64;
    case Correction::None:
      break;
  }
  return 1;
}

// The sums of one strip, w per group, and what the corrections make of `n` numbers per token.
struct SumsOfStrip {
  const std::int32_t* sums;
  int w;
  int n;
  std::int32_t* out;

  std::int32_t at(int group, int c) const { return sums[group * w + c]; }
  void put(int i, int c, std::int32_t value) const { out[i * w + c] = value; }

  // -offset * sum over `n_joined` groups.
  void offsets(std::int32_t offset, int n_joined) const {
    for (int i = 0; i < n; ++i) {
      for (int c = 0; c < w; ++c) {
        std::int32_t sum = 0;
        for (int j = 0; j < n_joined; ++j) sum += at(i * n_joined + j, c);
        put(i, c, -offset * sum);
      }
    }
  }
  // Two sums over `n_joined` groups each, as the int16 halves of one number.
  void pairs(int n_joined) const {
    for (int i = 0; i < n; ++i) {
      for (int c = 0; c < w; ++c) {
        std::int32_t first = 0;
        std::int32_t second = 0;
        for (int j = 0; j < n_joined; ++j) {
          first += at(2 * i * n_joined + j, c);
          second += at((2 * i + 1) * n_joined + j, c);
        }
        const auto bits = (static_cast<std::uint32_t>(first) & 0xFFFFU) |
                          (static_cast<std::uint32_t>(second) << 16);
        put(i, c, static_cast<std::int32_t>(bits));
      }
    }
  }
  void scaled(const float* d) const {
    for (int i = 0; i < n * w; ++i) {
      out[i] = std::bit_cast<std::int32_t>(d[i] * static_cast<float>(sums[i]));
    }
  }
};

// [w][width] to [width padded to 4][w].
void interleave(const float* x, int width, int w, float* out) {
  constexpr int kBlock = 256;  // columns whose lines stay in the first-level cache
  for (int first = 0; first < width; first += kBlock) {
    const int last = std::min(first + kBlock, width);
    for (int c = 0; c < w; ++c) {
      const float* row = x + size(c) * size(width);
      for (int k = first; k < last; ++k) out[size(k) * size(w) + size(c)] = row[k];
    }
  }
  const std::size_t padded = size(padded_cols(ActivationKind::Float, width));
  std::fill(out + size(width) * size(w), out + padded * size(w), 0.0F);
}

}  // namespace

Strips cut_into_strips(int n, int max_width) {
  const int count = (n + max_width - 1) / max_width;
  return {count, n / count, n % count};
}

int strip_begin(const Strips& strips, int s) {
  return s * strips.width + std::min(s, strips.n_wide);
}

int strip_width(const Strips& strips, int s) { return strips.width + (s < strips.n_wide ? 1 : 0); }

int padded_cols(ActivationKind kind, int cols) {
  const int step = kind == ActivationKind::Float ? 4 : kind == ActivationKind::Super ? 256 : 64;
  return (cols + step - 1) / step * step;
}

void MatmulScratch::prepare(const Rows& in, std::span<const Layout> layouts,
                            const MatmulTable& table, ThreadPool& pool) {
  strips_ = cut_into_strips(in.n, table.strip_columns);
  width_ = in.width;
  wants_kind_.fill(false);
  wants_correction_.fill(false);
  for (Layout layout : layouts) {
    const LayoutInfo info = layout_info(layout);
    wants_kind_[static_cast<std::size_t>(info.kind)] = true;
    wants_correction_[static_cast<std::size_t>(info.correction)] = true;
  }
  wants_correction_[static_cast<std::size_t>(Correction::None)] = false;
  grow(in.n, in.width);
  if (rows_.size() < size(pool.size())) rows_.resize(size(pool.size()));
  for (AlignedBuffer<float>& rows : rows_) {
    rows.grow_to(size(in.width) * size(table.strip_columns));
  }
  // A few tokens are prepared faster than other threads are woken.
  constexpr int kSerialTokens = 4;
  const int grain = in.n <= kSerialTokens ? strips_.count : 1;
  pool.parallel_for(strips_.count, grain, [&](int begin, int end, int thread) {
    for (int s = begin; s < end; ++s) prepare_strip(in, table, s, rows_[size(thread)].data());
  });
}

void MatmulScratch::grow(int n, int width) {
  if (wants_kind_[static_cast<std::size_t>(ActivationKind::Float)]) {
    floats_in_.grow_to(size(n) * size(padded_cols(ActivationKind::Float, width)));
  }
  if (wants_kind_[static_cast<std::size_t>(ActivationKind::Super)]) {
    const std::size_t total = size(n) * size(padded_cols(ActivationKind::Super, width));
    super_.q.grow_to(total);
    super_.d.grow_to(total / 256);
    super_.sums.grow_to(total / kSuperGroup);
  }
  if (wants_kind_[static_cast<std::size_t>(ActivationKind::Small)]) {
    const std::size_t total = size(n) * size(padded_cols(ActivationKind::Small, width));
    small_.q.grow_to(total);
    small_.d.grow_to(total / 32);
    small_.sums.grow_to(total / kSmallGroup);
  }
  for (std::size_t i = 0; i < corrections_.size(); ++i) {
    if (!wants_correction_[i]) continue;
    const auto correction = static_cast<Correction>(i);
    const std::size_t total = size(n) * size(padded_cols(kind_of(correction), width));
    corrections_[i].grow_to(total / size(columns_per_number(correction)));
  }
}

void MatmulScratch::prepare_strip(const Rows& in, const MatmulTable& table, int strip,
                                  float* rows) {
  const int begin = strip_begin(strips_, strip);
  const int w = strip_width(strips_, strip);
  const float* x = in.x + size(begin) * size(in.width);  // [w][width]
  if (in.norm != nullptr) {
    for (int c = 0; c < w; ++c) {
      const std::size_t start = size(c) * size(in.width);
      table.rms_norm(x + start, in.norm, in.eps, in.width, rows + start);
    }
    x = rows;
  }
  if (wants_kind_[static_cast<std::size_t>(ActivationKind::Float)]) {
    const std::size_t cols = size(padded_cols(ActivationKind::Float, in.width));
    interleave(x, in.width, w, floats_in_.data() + size(begin) * cols);
  }
  if (wants_kind_[static_cast<std::size_t>(ActivationKind::Super)]) {
    const std::size_t start = size(begin) * size(padded_cols(ActivationKind::Super, in.width));
    for (int c = 0; c < w; ++c) {
      table.quantize_super(x + size(c) * size(in.width), in.width, w,
                           super_.q.data() + start + 4 * c, super_.d.data() + start / 256 + c,
                           super_.sums.data() + start / kSuperGroup + c);
    }
  }
  if (wants_kind_[static_cast<std::size_t>(ActivationKind::Small)]) {
    const std::size_t start = size(begin) * size(padded_cols(ActivationKind::Small, in.width));
    for (int c = 0; c < w; ++c) {
      table.quantize_small(x + size(c) * size(in.width), in.width, w,
                           small_.q.data() + start + 4 * c, small_.d.data() + start / 32 + c,
                           small_.sums.data() + start / kSmallGroup + c);
    }
  }
  for (std::size_t i = 0; i < corrections_.size(); ++i) {
    if (wants_correction_[i]) correct_strip(static_cast<Correction>(i), strip);
  }
}

void MatmulScratch::correct_strip(Correction correction, int strip) {
  const bool is_super = kind_of(correction) == ActivationKind::Super;
  const Quantized& in = is_super ? super_ : small_;
  const int cols = padded_cols(kind_of(correction), width_);
  const std::size_t start = size(strip_begin(strips_, strip)) * size(cols);
  const int per_number = columns_per_number(correction);
  const SumsOfStrip strip_sums{
      in.sums.data() + start / size(is_super ? kSuperGroup : kSmallGroup),
      strip_width(strips_, strip), cols / per_number,
      corrections_[static_cast<std::size_t>(correction)].data() + start / size(per_number)};
  switch (correction) {
    case Correction::Pairs16:
      return strip_sums.pairs(1);
    case Correction::Pairs32:
      return strip_sums.pairs(2);
    case Correction::Offset4:
      return strip_sums.offsets(4, 1);
    case Correction::Offset32:
      return strip_sums.offsets(32, 1);
    case Correction::Offset128:
      return strip_sums.offsets(128, 2);
    case Correction::Small8:
      return strip_sums.offsets(8, 1);
    case Correction::Small12:
      return strip_sums.offsets(12, 1);
    case Correction::Small16:
      return strip_sums.offsets(16, 1);
    case Correction::Small128:
      return strip_sums.offsets(128, 1);
    case Correction::SmallSums:
      return strip_sums.scaled(in.d.data() + start / kSmallGroup);
    case Correction::None:
      return;
  }
}

Activations MatmulScratch::view(Layout layout) const {
  const LayoutInfo info = layout_info(layout);
  Activations view{};
  view.strips = strips_;
  switch (info.kind) {
    case ActivationKind::Float:
      view.x = floats_in_.data();
      break;
    case ActivationKind::Super:
      view.q = super_.q.data();
      view.d = super_.d.data();
      break;
    case ActivationKind::Small:
      view.q = small_.q.data();
      view.d = small_.d.data();
      break;
  }
  if (info.correction != Correction::None) {
    view.correction = corrections_[static_cast<std::size_t>(info.correction)].data();
  }
  return view;
}

void MatmulScratch::grow_workspaces(int n_threads, std::size_t n_floats) {
  if (panels_.size() < size(n_threads)) panels_.resize(size(n_threads));
  if (floats_.size() < size(n_threads)) floats_.resize(size(n_threads));
  for (AlignedBuffer<std::byte>& panel : panels_) panel.grow_to(kPanelBytes);
  for (AlignedBuffer<float>& floats : floats_) floats.grow_to(n_floats);
}

}  // namespace foretoken::kernels
