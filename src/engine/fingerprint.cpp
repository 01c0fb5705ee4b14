#include "engine/fingerprint.h"

#include <bit>
#include <cstddef>
#include <span>
#include <string_view>
#include <type_traits>

namespace foretoken::engine {
namespace {

// Bytes of a stretch of weights that is looked at.
constexpr std::size_t kSample = 1024;

// FNV-1a, 64 bits (Fowler, Noll and Vo; IETF draft-eastlake-fnv).
class Hash {
 public:
  void add(std::span<const std::byte> bytes) {
    for (const std::byte b : bytes) {
      state_ = (state_ ^ static_cast<std::uint64_t>(b)) * 0x100000001b3U;
    }
  }
  /// Least significant byte first, whatever the machine.
  void add(std::uint64_t value) {
    for (int shift = 0; shift < 64; shift += 8) {
      const auto b = static_cast<std::byte>(value >> shift);
      add(std::span(&b, 1));
    }
  }
  /// With its length in front, so that no two lists of strings run together.
  void add(std::string_view text) {
    add(text.size());
    add(std::as_bytes(std::span(text)));
  }
  std::uint64_t value() const { return state_; }

 private:
  std::uint64_t state_ = 0xcbf29ce484222325U;
};

void add_config(Hash& hash, const model::qwen35::Config& c) {
  for (const int number :
       {c.n_layers, c.n_mtp_layers, c.d_model, c.d_ff, c.n_heads, c.n_kv_heads, c.head_dim, c.n_rot,
        c.rope_sections[0], c.rope_sections[1], c.rope_sections[2], c.n_vocab, c.delta.n_k_heads,
        c.delta.n_v_heads, c.delta.d_k, c.delta.d_v}) {
    hash.add(static_cast<std::uint64_t>(number));
  }
  hash.add(std::uint64_t{std::bit_cast<std::uint32_t>(c.rope_base)});
  hash.add(std::uint64_t{std::bit_cast<std::uint32_t>(c.eps)});
  for (const bool recurrent : c.is_recurrent) hash.add(std::uint64_t{recurrent ? 1U : 0U});
}

// Small tensors whole, of others a stretch at a third and one at two thirds.
void add_tensors(Hash& hash, const gguf::File& file) {
  hash.add(file.tensors().size());
  for (const gguf::TensorInfo& tensor : file.tensors()) {
    hash.add(tensor.name);
    hash.add(static_cast<std::uint64_t>(tensor.type));
    for (const std::size_t n : tensor.shape) hash.add(n);
    const std::span<const std::byte> bytes = file.data(tensor);
    if (bytes.size() <= 3 * kSample) {
      hash.add(bytes);
    } else {
      hash.add(bytes.subspan(bytes.size() / 3, kSample));
      hash.add(bytes.subspan(bytes.size() / 3 * 2, kSample));
    }
  }
}

}  // namespace

std::uint64_t model_fingerprint(const model::qwen35::Weights& weights,
                                const tokenizer::Tokenizer& tokenizer) {
  Hash hash;
  add_config(hash, weights.config());
  add_tensors(hash, weights.file());
  if (weights.head_file() != nullptr) add_tensors(hash, *weights.head_file());
  for (TokenId id = 0; id < tokenizer.n_vocab(); ++id) hash.add(tokenizer.piece(id));
  return hash.value();
}

}  // namespace foretoken::engine
