#include "convert/hf_tensor.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <initializer_list>

#include "base/error.h"

namespace foretoken::convert {
namespace {

/// Which old value head stands at a new place.
struct HeadOrder {
  std::size_t n_k_heads = 1;
  std::size_t ratio = 1;

  std::size_t old_head(std::size_t head) const {
    return (head % n_k_heads) * ratio + head / n_k_heads;
  }
};

/// How the rows of a result come from the rows of a tensor.
struct Recipe {
  HfTensor tensor;
  quant::Type type = quant::Type::F32;
  std::size_t n_cols = 0;
  HeadOrder order = {};
  std::size_t column_block = 0;                          ///< columns a head; 0: columns stay
  std::function<std::size_t(std::size_t)> old_row = {};  ///< empty: rows stay
  HfTransform transform = HfTransform::None;

  const std::byte* data() const { return tensor.checkpoint->data(*tensor.ref).data(); }
  std::size_t row_bytes() const { return quant::row_bytes(type, n_cols); }
  bool moves() const { return column_block > 0 || old_row != nullptr; }

  void copy_row(std::size_t row, std::byte* out) const {
    const std::byte* source = data() + (old_row ? old_row(row) : row) * row_bytes();
    if (column_block == 0) {
      std::memcpy(out, source, row_bytes());
      return;
    }
    const std::size_t block_bytes = quant::row_bytes(type, column_block);
    for (std::size_t head = 0; head < n_cols / column_block; ++head) {
      std::memcpy(out + head * block_bytes, source + order.old_head(head) * block_bytes,
                  block_bytes);
    }
  }

  void copy_rows(std::size_t first, std::size_t n, std::byte* out) const {
    if (!moves()) {
      std::memcpy(out, data() + first * row_bytes(), n * row_bytes());
      return;
    }
    for (std::size_t i = 0; i < n; ++i) copy_row(first + i, out + i * row_bytes());
  }

  void read_rows(std::size_t first, std::size_t n, float* out) const {
    if (!moves()) {
      quant::dequantize_row(type, data() + first * row_bytes(), out, n * n_cols);
    } else {
      std::vector<std::byte> rows(n * row_bytes());
      copy_rows(first, n, rows.data());
      quant::dequantize_row(type, rows.data(), out, n * n_cols);
    }
    if (transform == HfTransform::PlusOne) {
      for (std::size_t i = 0; i < n * n_cols; ++i) out[i] += 1.0F;
    } else if (transform == HfTransform::DecayRate) {
      for (std::size_t i = 0; i < n * n_cols; ++i) out[i] = -reference_exp(out[i]);
    }
  }
};

/// Blocks of `block` rows from `first` on change places, those before stay.
std::function<std::size_t(std::size_t)> row_order(HeadOrder order, std::size_t first,
                                                  std::size_t block) {
  return [order, first, block](std::size_t row) {
    if (row < first) return row;
    const std::size_t head = (row - first) / block;
    return first + order.old_head(head) * block + (row - first) % block;
  };
}

TensorSource make_source(std::string name, std::vector<std::size_t> shape, Recipe recipe) {
  TensorSource out;
  out.name = std::move(name);
  out.shape = std::move(shape);
  out.type = recipe.type;
  const bool changes =
      recipe.transform == HfTransform::PlusOne || recipe.transform == HfTransform::DecayRate;
  const auto shared = std::make_shared<const Recipe>(std::move(recipe));
  out.read_rows = [shared](std::size_t first, std::size_t n, float* to) {
    shared->read_rows(first, n, to);
  };
  if (changes) {
    out.type = quant::Type::F32;
  } else {
    out.copy_rows = [shared](std::size_t first, std::size_t n, std::byte* to) {
      shared->copy_rows(first, n, to);
    };
  }
  const HfTensor& tensor = shared->tensor;
  out.origin = tensor.where();
  out.check_copies = true;
  if (!changes && !shared->moves()) {
    const auto& file = tensor.checkpoint->files()[static_cast<std::size_t>(tensor.ref->file)];
    out.range = FileRange{file.path(), tensor.ref->info->offset, tensor.ref->info->size_bytes};
  }
  out.done = [shared] { shared->tensor.checkpoint->drop_pages(*shared->tensor.ref); };
  return out;
}

}  // namespace

std::string HfTensor::where() const {
  const auto& file = checkpoint->files()[static_cast<std::size_t>(ref->file)];
  return fmt::format("{}: tensor '{}'", file.path(), name());
}

quant::Type hf_number_type(const HfTensor& tensor) {
  using safetensors::DType;
  const DType type = tensor.ref->info->type;
  if (type == DType::F32) return quant::Type::F32;
  if (type == DType::F16) return quant::Type::F16;
  if (type == DType::BF16) return quant::Type::BF16;
  throw UnsupportedError(fmt::format(
      "{} holds {} numbers; convert reads BF16, F16 and F32: take the checkpoint that was not "
      "quantized",
      tensor.where(), safetensors::dtype_name(type)));
}

TensorSource plain_source(const HfTensor& tensor, std::string name,
                          std::vector<std::size_t> shape) {
  const std::size_t n_cols = shape.back();
  return make_source(std::move(name), std::move(shape),
                     Recipe{.tensor = tensor, .type = hf_number_type(tensor), .n_cols = n_cols});
}

TensorSource text_source(const HfTensor& tensor, const HfTensorRule& rule,
                         std::vector<std::size_t> shape, const HfConfig& config) {
  const HeadOrder order{static_cast<std::size_t>(config.n_k_heads),
                        static_cast<std::size_t>(config.n_v_heads / config.n_k_heads)};
  const auto d_v = static_cast<std::size_t>(config.d_v);
  const std::size_t n_cols = shape.back();
  Recipe recipe{.tensor = tensor,
                .type = hf_number_type(tensor),
                .n_cols = n_cols,
                .order = order,
                .transform = rule.transform};
  if (order.ratio > 1) {
    switch (rule.transform) {
      case HfTransform::None:
      case HfTransform::PlusOne:
        break;
      case HfTransform::DecayRate:
      case HfTransform::HeadVector:
        recipe.column_block = 1;
        break;
      case HfTransform::HeadRows:
        recipe.old_row = row_order(order, 0, 1);
        break;
      case HfTransform::ValueRows:
        recipe.old_row = row_order(order, 0, d_v);
        break;
      case HfTransform::ConvRows:
        recipe.old_row = row_order(order, static_cast<std::size_t>(2 * config.key_width()), d_v);
        break;
      case HfTransform::ValueColumns:
        recipe.column_block = d_v;
        break;
    }
  }
  return make_source(rule.name, std::move(shape), std::move(recipe));
}

TensorSource frame_source(const HfTensor& tensor, std::string name, std::size_t frame) {
  const auto& shape = tensor.shape();
  const std::size_t n_frames = shape[2];
  const std::size_t height = shape[3];
  Recipe recipe{.tensor = tensor, .type = hf_number_type(tensor), .n_cols = shape[4]};
  recipe.old_row = [n_frames, height, frame](std::size_t row) {
    return (row / height * n_frames + frame) * height + row % height;
  };
  return make_source(std::move(name), {shape[0], shape[1], height, shape[4]}, std::move(recipe));
}

float reference_exp(float x) {
  if (!(x <= 100.0F)) return x + HUGE_VALF;  // NaN stays NaN
  if (x < -104.0F) return 0.0F;
  // x = n ln 2 + s with ln 2 in two parts, then a polynomial in |s| <= ln 2 / 2.
  const float n = std::nearbyint(x * 1.44269504F);
  float s = std::fma(n, -0.693145751953125F, x);
  s = std::fma(n, -1.428606765330187045e-06F, s);
  float p = 0.000198527617612853646F;
  for (const float coefficient : {0.00139304355252534151F, 0.00833336077630519866F,
                                  0.0416664853692054748F, 0.166666671633720398F, 0.5F}) {
    p = std::fma(p, s, coefficient);
  }
  return std::ldexp(1.0F + std::fma(s * s, p, s), static_cast<int>(n));
}

}  // namespace foretoken::convert
