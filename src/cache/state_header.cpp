// One table of names serves encoding, decoding and the sentence about what differs.
#include "cache/state_header.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <cassert>
#include <cstring>
#include <string_view>

#include "base/bytes.h"
#include "base/error.h"
#include "base/text.h"

namespace foretoken::cache {
namespace {

constexpr std::string_view kMagic = "FTSTATE1";

enum class Number { Plain, KeyType, ValueType };

struct NumberName {
  std::string_view name;
  Number kind;
};

// In the order of numbers_of().
constexpr std::array<NumberName, kIdentityNumbers> kNames = {{
    {"the key type", Number::KeyType},
    {"the value type", Number::ValueType},
    {"the number of attention layers", Number::Plain},
    {"the number of key and value heads", Number::Plain},
    {"the width of a key or value head", Number::Plain},
    {"the key type of the MTP head", Number::KeyType},
    {"the value type of the MTP head", Number::ValueType},
    {"the number of attention layers of the MTP head", Number::Plain},
    {"the number of key and value heads of the MTP head", Number::Plain},
    {"the width of a key or value head of the MTP head", Number::Plain},
    {"the number of delta-net key heads", Number::Plain},
    {"the number of delta-net value heads", Number::Plain},
    {"the width of a delta-net key head", Number::Plain},
    {"the width of a delta-net value head", Number::Plain},
    {"the number of recurrent layers", Number::Plain},
    {"the width of a hidden row", Number::Plain},
    {"the size of the vocabulary", Number::Plain},
}};

std::array<std::uint32_t, kIdentityNumbers> numbers_of(const StateIdentity& identity) {
  const auto u = [](auto value) { return static_cast<std::uint32_t>(value); };
  const KvPageShape& kv = identity.kv;
  const KvPageShape& mtp = identity.mtp_kv;
  const kernels::DeltaNetShape& delta = identity.delta;
  return {u(kv.types.key),     u(kv.types.value),  u(kv.n_layers),
          u(kv.n_kv_heads),    u(kv.head_dim),     u(mtp.types.key),
          u(mtp.types.value),  u(mtp.n_layers),    u(mtp.n_kv_heads),
          u(mtp.head_dim),     u(delta.n_k_heads), u(delta.n_v_heads),
          u(delta.d_k),        u(delta.d_v),       u(identity.n_recurrent_layers),
          u(identity.d_model), u(identity.n_vocab)};
}

std::string shown(const NumberName& name, std::uint32_t value) {
  if (name.kind == Number::Plain) return std::to_string(value);
  const auto type = quant::find_type(value);
  return type ? std::string(type->name) : fmt::format("type {}", value);
}

std::string advice(const NumberName& name, std::uint32_t saved) {
  if (name.kind == Number::Plain) return "use the model that it was saved with";
  return fmt::format("start with {} {} to use it",
                     name.kind == Number::KeyType ? "--cache-type-k" : "--cache-type-v",
                     shown(name, saved));
}

template <class T>
void put(std::byte*& at, T value) {
  std::memcpy(at, &value, sizeof(T));
  at += sizeof(T);
}

}  // namespace

void StateHeader::set_identity(const StateIdentity& identity) {
  fingerprint = identity.model_fingerprint;
  numbers = numbers_of(identity);
}

void StateHeader::require_identity(const StateIdentity& identity, const std::string& file) const {
  if (fingerprint != identity.model_fingerprint) {
    throw UnsupportedError(
        fmt::format("{}: saved with another model: its fingerprint is {:016x}, that of the model "
                    "in use {:016x}; "
                    "use the model that it was saved with",
                    file, fingerprint, identity.model_fingerprint));
  }
  const auto here = numbers_of(identity);
  for (std::size_t i = 0; i < kIdentityNumbers; ++i) {
    if (numbers[i] == here[i]) continue;
    throw UnsupportedError(fmt::format("{}: {} is {} in the file and {} here; {}", file,
                                       kNames[i].name, shown(kNames[i], numbers[i]),
                                       shown(kNames[i], here[i]), advice(kNames[i], numbers[i])));
  }
}

std::uint64_t StateHeader::file_bytes(const StateSizes& sizes) const {
  return kStateHeaderBytes + kChecksumBytes + records_bytes +
         n_kv_pages * (sizes.kv_page + kChecksumBytes) +
         n_mtp_pages * (sizes.mtp_page + kChecksumBytes) +
         n_checkpoints * (sizes.state_bytes() + kStateSections * kChecksumBytes);
}

std::array<std::byte, kStateHeaderBytes> StateHeader::encode() const {
  std::array<std::byte, kStateHeaderBytes> out{};
  std::byte* at = out.data();
  std::memcpy(at, kMagic.data(), kMagic.size());
  at += kMagic.size();
  put(at, kStateFileVersion);
  put(at, n_checkpoints);
  put(at, fingerprint);
  for (const std::uint32_t number : numbers) put(at, number);
  put(at, std::uint32_t{0});
  put(at, n_kv_pages);
  put(at, n_mtp_pages);
  put(at, records_bytes);
  assert(at == out.data() + out.size());
  return out;
}

StateHeader StateHeader::decode(std::span<const std::byte> bytes, const std::string& file) {
  ByteCursor in(bytes, file);
  const auto magic = in.read_bytes(kMagic.size(), "the magic");
  if (std::memcmp(magic.data(), kMagic.data(), kMagic.size()) != 0) {
    throw FormatError(fmt::format(
        "{}: offset 0: not a state file: it begins with {} instead of {}; name a file that was "
        "saved by this program",
        file, quoted(std::string_view(reinterpret_cast<const char*>(magic.data()), magic.size())),
        quoted(kMagic)));
  }
  const auto version = in.read<std::uint32_t>("the version");
  if (version != kStateFileVersion) {
    throw UnsupportedError(
        fmt::format("{}: offset 8: a state file of version {}, this program reads version {}; save "
                    "it again with this program",
                    file, version, kStateFileVersion));
  }
  StateHeader out;
  out.n_checkpoints = in.read<std::uint32_t>("the number of checkpoints");
  out.fingerprint = in.read<std::uint64_t>("the fingerprint");
  for (std::size_t i = 0; i < kIdentityNumbers; ++i) {
    out.numbers[i] = in.read<std::uint32_t>(kNames[i].name);
  }
  const std::size_t zero_at = in.position();
  if (in.read<std::uint32_t>("a zero") != 0) {
    throw FormatError(
        fmt::format("{}: offset {}: a field that must be zero is not; the file is damaged, save it "
                    "again",
                    file, zero_at));
  }
  out.n_kv_pages = in.read<std::uint64_t>("the number of pages");
  out.n_mtp_pages = in.read<std::uint64_t>("the number of the head's pages");
  out.records_bytes = in.read<std::uint64_t>("the size of the records");
  return out;
}

StateSizes::StateSizes(const StateIdentity& id)
    : kv_page(id.kv.n_layers > 0 ? id.kv.page_bytes() : 0),
      mtp_page(id.mtp_kv.n_layers > 0 ? id.mtp_kv.page_bytes() : 0),
      n_matrix(static_cast<std::size_t>(id.n_recurrent_layers) * id.delta.state_size()),
      n_conv(static_cast<std::size_t>(id.n_recurrent_layers) * 3 *
             static_cast<std::size_t>(id.delta.n_channels())),
      n_hidden(static_cast<std::size_t>(id.d_model)) {}

std::uint64_t section_checksum(std::span<const std::byte> bytes, std::uint64_t offset) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), offset);
}

}  // namespace foretoken::cache
