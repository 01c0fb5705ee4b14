// Implementation of kv_codec.h. Keys and values differ only in strides: a key tile keeps the 16
// positions of one dimension together, a value tile the dimensions of one position.
#include "kernels/kv_codec.h"

#include <cmath>
#include <cstdint>
#include <cstring>

#include "base/half.h"

namespace foretoken::kernels {
namespace {

using quant::Type;

constexpr int kBlock = 32;  // dimensions per scale

// Element i of a vector lies at origin + i * step; so do its scales and packed bytes.
struct Lane {
  std::size_t origin;
  std::size_t step;
  std::size_t at(int i) const { return origin + static_cast<std::size_t>(i) * step; }
};

Lane key_lane(int slot) { return {static_cast<std::size_t>(slot), kKvTile}; }
Lane value_lane(int slot, int per_position) {
  return {static_cast<std::size_t>(slot) * static_cast<std::size_t>(per_position), 1};
}

// Where the parts of one position lie: elements (or packed bytes), and scales.
struct Place {
  Lane elements;
  Lane scales;
  std::size_t payload;  // bytes of all scales of the tile; the elements follow them
};

Place key_place(int head_dim, int slot) {
  return {key_lane(slot), key_lane(slot),
          static_cast<std::size_t>(head_dim / kBlock) * kKvTile * sizeof(std::uint16_t)};
}

Place value_place(Type type, int head_dim, int slot) {
  const int per_position = type == Type::Q4_0 ? head_dim / 2 : head_dim;
  return {value_lane(slot, per_position), value_lane(slot, head_dim / kBlock),
          static_cast<std::size_t>(head_dim / kBlock) * kKvTile * sizeof(std::uint16_t)};
}

template <class T>
void put(std::byte* base, std::size_t index, T value) {
  std::memcpy(base + index * sizeof(T), &value, sizeof(T));
}

template <class T>
T get(const std::byte* base, std::size_t index) {
  T value;
  std::memcpy(&value, base + index * sizeof(T), sizeof(T));
  return value;
}

// Nearest integer in [low, high] with NaN sent to `low`: a float outside an integer's range may
// not be converted, and nothing stops a damaged model from producing one.
int clamp_to_int(float value, float low, float high) {
  if (!(value > low)) return static_cast<int>(low);
  if (value > high) return static_cast<int>(high);
  return static_cast<int>(value);
}

void encode_q8(const float* x, int head_dim, const Place& place, std::byte* tile) {
  for (int block = 0; block < head_dim / kBlock; ++block) {
    const float* in = x + block * kBlock;
    float largest = 0.0F;
    for (int i = 0; i < kBlock; ++i) largest = std::fmax(largest, std::fabs(in[i]));
    const float d = largest / 127.0F;
    put(tile, place.scales.at(block), f32_to_f16(d));
    for (int i = 0; i < kBlock; ++i) {
      const float q = d != 0.0F ? std::round(in[i] / d) : 0.0F;
      put(tile + place.payload, place.elements.at(block * kBlock + i),
          static_cast<std::int8_t>(clamp_to_int(q, -127.0F, 127.0F)));
    }
  }
}

void encode_q4(const float* x, int head_dim, const Place& place, std::byte* tile) {
  for (int block = 0; block < head_dim / kBlock; ++block) {
    const float* in = x + block * kBlock;
    float extreme = 0.0F;  // the signed value of largest magnitude, first one on a tie
    for (int i = 0; i < kBlock; ++i) {
      if (std::fabs(in[i]) > std::fabs(extreme)) extreme = in[i];
    }
    const float d = extreme / -8.0F;
    put(tile, place.scales.at(block), f32_to_f16(d));
    const auto nibble = [&](int i) {
      return d != 0.0F ? clamp_to_int(in[i] / d + 8.5F, 0.0F, 15.0F) : 8;
    };
    for (int i = 0; i < kBlock / 2; ++i) {
      put(tile + place.payload, place.elements.at(block * kBlock / 2 + i),
          static_cast<std::uint8_t>(nibble(i) | (nibble(i + kBlock / 2) << 4)));
    }
  }
}

void encode(Type type, const float* x, int head_dim, const Place& place, std::byte* tile) {
  switch (type) {
    case Type::Q8_0:
      return encode_q8(x, head_dim, place, tile);
    case Type::Q4_0:
      return encode_q4(x, head_dim, place, tile);
    case Type::F16:
      for (int i = 0; i < head_dim; ++i) put(tile, place.elements.at(i), f32_to_f16(x[i]));
      return;
    case Type::BF16:
      for (int i = 0; i < head_dim; ++i) put(tile, place.elements.at(i), f32_to_bf16(x[i]));
      return;
    default:  // F32; is_kv_type admits no other
      for (int i = 0; i < head_dim; ++i) put(tile, place.elements.at(i), x[i]);
  }
}

void decode(Type type, const std::byte* tile, int head_dim, const Place& place, float* out) {
  const auto scale = [&](int block) {
    return f16_to_f32(get<std::uint16_t>(tile, place.scales.at(block)));
  };
  const std::byte* payload = tile + place.payload;
  switch (type) {
    case Type::Q8_0:
      for (int i = 0; i < head_dim; ++i) {
        out[i] =
            static_cast<float>(get<std::int8_t>(payload, place.elements.at(i))) * scale(i / kBlock);
      }
      return;
    case Type::Q4_0:
      for (int i = 0; i < head_dim; ++i) {
        const int block = i / kBlock;
        const int within = i % kBlock;
        const int packed = get<std::uint8_t>(
            payload, place.elements.at(block * kBlock / 2 + within % (kBlock / 2)));
        const int nibble = within < kBlock / 2 ? packed & 0xF : packed >> 4;
        out[i] = static_cast<float>(nibble - 8) * scale(block);
      }
      return;
    case Type::F16:
      for (int i = 0; i < head_dim; ++i) {
        out[i] = f16_to_f32(get<std::uint16_t>(tile, place.elements.at(i)));
      }
      return;
    case Type::BF16:
      for (int i = 0; i < head_dim; ++i) {
        out[i] = bf16_to_f32(get<std::uint16_t>(tile, place.elements.at(i)));
      }
      return;
    default:  // F32
      for (int i = 0; i < head_dim; ++i) out[i] = get<float>(tile, place.elements.at(i));
  }
}

}  // namespace

void encode_key(Type type, const float* x, int head_dim, int slot, std::byte* tile) {
  encode(type, x, head_dim, key_place(head_dim, slot), tile);
}

void encode_value(Type type, const float* x, int head_dim, int slot, std::byte* tile) {
  encode(type, x, head_dim, value_place(type, head_dim, slot), tile);
}

void decode_key(Type type, const std::byte* tile, int head_dim, int slot, float* out) {
  decode(type, tile, head_dim, key_place(head_dim, slot), out);
}

void decode_value(Type type, const std::byte* tile, int head_dim, int slot, float* out) {
  decode(type, tile, head_dim, value_place(type, head_dim, slot), out);
}

}  // namespace foretoken::kernels
