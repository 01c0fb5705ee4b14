// Any bytes as a state file, with and without a look at checksums: reading gives checkpoints that
// fit the identity, or a FormatError or UnsupportedError, and gives all pages back.
#include <cstdlib>
#include <set>

#include "base/error.h"
#include "cache/checkpoint_file.h"
#include "cache/state_header.h"

namespace {

using namespace foretoken;
using cache::Checksums;

void require(bool good) {
  if (!good) std::abort();
}

// That of the seeds; as in src/cache/checkpoint_file_test.cpp.
cache::StateIdentity identity() {
  cache::StateIdentity id;
  id.model_fingerprint = 0x0123456789abcdef;
  id.kv = {1, 1, 32, {quant::Type::Q4_0, quant::Type::Q4_0}};
  id.mtp_kv = {1, 1, 32, {quant::Type::Q4_0, quant::Type::Q8_0}};
  id.delta = {1, 1, 16, 16};
  id.n_recurrent_layers = 1;
  id.d_model = 8;
  id.n_vocab = 1000;
  return id;
}

void check(const cache::LoadedCheckpoints& read, const cache::StateIdentity& id,
           std::size_t n_bytes) {
  const cache::StateSizes sizes(id);
  require(read.result.n_bytes == n_bytes);
  for (const cache::CheckpointPtr& c : read.checkpoints) {
    const std::size_t n = c->tokens.size();
    require(n >= 1 && n <= read.result.n_tokens);
    require(c->kv.size() == (n + 63) / 64 && c->mtp_kv.size() == c->kv.size());
    for (const TokenId token : c->tokens) require(token >= 0 && token < id.n_vocab);
    std::set<const std::byte*> pages;
    for (const auto& page : c->kv) require(page != nullptr && pages.insert(page.get()).second);
    for (const auto& page : c->mtp_kv) require(page != nullptr && pages.insert(page.get()).second);
    require(c->recurrent.s.size() == sizes.n_matrix && c->recurrent.conv.size() == sizes.n_conv);
    require(c->hidden.size() == sizes.n_hidden);
  }
}

void read(std::span<const std::byte> bytes, Checksums checksums) {
  static const cache::StateIdentity id = identity();
  static const auto kv_pool = std::make_shared<cache::KvPagePool>(id.kv);
  static const auto mtp_pool = std::make_shared<cache::KvPagePool>(id.mtp_kv);
  try {
    check(cache::parse_checkpoints(bytes, "fuzz", id, kv_pool, mtp_pool, checksums), id,
          bytes.size());
  } catch (const FormatError&) {
    // The expected answer to damaged bytes.
  } catch (const UnsupportedError&) {
    // Another identity or version.
  }
  require(kv_pool->n_used() == 0 && mtp_pool->n_used() == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  read(bytes, Checksums::Verify);
  read(bytes, Checksums::Ignore);
  return 0;
}
