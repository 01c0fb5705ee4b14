#include "convert/float_types.h"

#include <algorithm>
#include <array>
#include <cassert>

#include "convert/file_type.h"

namespace foretoken::convert {
namespace {

using quant::Type;

constexpr std::array kOutTypes{Type::F32, Type::F16, Type::BF16, Type::Q8_0};

bool stays_f32(const TensorSource& tensor) {
  const std::string_view name = tensor.name;
  return tensor.shape.size() <= 1 || name.ends_with("_norm.weight") ||
         name.find("ssm_conv1d") != std::string_view::npos || name == "v.position_embd.weight" ||
         !name.ends_with(".weight");
}

}  // namespace

std::optional<Type> find_out_type(std::string_view text) {
  const auto type = quant::find_type_by_name(text);
  if (!type || std::ranges::find(kOutTypes, *type) == kOutTypes.end()) return std::nullopt;
  return type;
}

Type automatic_type(std::span<const TensorSource> tensors) {
  for (const TensorSource& tensor : tensors) {
    const bool is_short = tensor.type == Type::BF16 || tensor.type == Type::F16;
    if (tensor.shape.size() >= 2 && is_short) return tensor.type;
  }
  return Type::F16;
}

Type converted_type(const TensorSource& tensor, Type wanted) {
  // Image kernels are convolved in one of these two, whatever the rest is. The second frame's name
  // does not end in .weight.
  if (std::string_view(tensor.name).find(".patch_embd.weight") != std::string_view::npos) {
    return wanted == Type::F16 ? Type::F16 : Type::F32;
  }
  if (stays_f32(tensor)) return Type::F32;
  const auto block = static_cast<std::size_t>(quant::type_info(wanted).block_elements);
  return tensor.n_cols() % block == 0 ? wanted : Type::F16;
}

std::uint32_t out_file_type(Type type) {
  const auto file_type = find_file_type(quant::type_info(type).name);
  assert(file_type);  // the four types are all in that table
  return file_type->id;
}

}  // namespace foretoken::convert
