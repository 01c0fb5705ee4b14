// Checkpoints come back from a file bit for bit, or the file is refused with a sentence about what
// is wrong with it.
#include "cache/checkpoint_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>
#include <thread>

#include "base/error.h"
#include "cache/clear_positions.h"
#include "cache/state_header.h"

namespace foretoken::cache {
namespace {

namespace fs = std::filesystem;
using kernels::kKvPagePositions;
using quant::Type;
using ::testing::AllOf;
using ::testing::HasSubstr;

// Small, so that every byte can be changed in turn; with a head.
StateIdentity small_identity() {
  StateIdentity id;
  id.model_fingerprint = 0x0123456789abcdef;
  id.kv = {1, 1, 32, {Type::Q4_0, Type::Q4_0}};
  id.mtp_kv = {1, 1, 32, {Type::Q4_0, Type::Q8_0}};
  id.delta = {1, 1, 16, 16};
  id.n_recurrent_layers = 1;
  id.d_model = 8;
  id.n_vocab = 1000;
  return id;
}

struct Pools {
  explicit Pools(const StateIdentity& id)
      : kv(std::make_shared<KvPagePool>(id.kv)), mtp(std::make_shared<KvPagePool>(id.mtp_kv)) {}
  std::shared_ptr<KvPagePool> kv;
  std::shared_ptr<KvPagePool> mtp;
};

// Makes checkpoints full of random bytes.
class Maker {
 public:
  explicit Maker(const StateIdentity& id) : id_(id), pools_(id) {}

  std::shared_ptr<Checkpoint> make(int n_tokens, const Checkpoint* base = nullptr,
                                   int n_shared_pages = 0) {
    auto out = std::make_shared<Checkpoint>();
    out->kv_shape = id_.kv;
    out->mtp_shape = id_.mtp_kv;
    for (int i = 0; i < n_tokens; ++i) out->tokens.push_back(i % id_.n_vocab);
    for (int i = 0; i < kernels::kv_pages(n_tokens); ++i) {
      const auto at = static_cast<std::size_t>(i);
      const bool is_shared = i < n_shared_pages;
      out->kv.push_back(is_shared ? base->kv[at] : page(*pools_.kv));
      out->mtp_kv.push_back(is_shared ? base->mtp_kv[at] : page(*pools_.mtp));
    }
    const StateSizes sizes(id_);
    out->recurrent.s = AlignedBuffer<float>(sizes.n_matrix);
    out->recurrent.conv = AlignedBuffer<float>(sizes.n_conv);
    out->hidden.resize(sizes.n_hidden);
    fill(std::as_writable_bytes(out->recurrent.s.span()));
    fill(std::as_writable_bytes(out->recurrent.conv.span()));
    fill(std::as_writable_bytes(std::span(out->hidden)));
    return out;
  }

 private:
  void fill(std::span<std::byte> bytes) {
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random_());
  }
  std::shared_ptr<std::byte> page(KvPagePool& pool) {
    auto out = pool.take();
    fill({out.get(), pool.shape().page_bytes()});
    return out;
  }

  StateIdentity id_;
  Pools pools_;
  std::mt19937 random_{7};
};

class CheckpointFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = fs::temp_directory_path() / "checkpoint-file-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    path_ = (folder_ / "slot.bin").string();
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::vector<std::byte> bytes() const {
    std::ifstream file(path_, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const auto all = std::as_bytes(std::span(text));
    return {all.begin(), all.end()};
  }

  LoadedCheckpoints read(const StateIdentity& id) const {
    const Pools pools(id);
    return read_checkpoints(path_, id, pools.kv, pools.mtp);
  }

  fs::path folder_;
  std::string path_;
};

LoadedCheckpoints parse(std::span<const std::byte> bytes, const StateIdentity& id,
                        Checksums checksums = Checksums::Verify) {
  const Pools pools(id);
  return parse_checkpoints(bytes, "slot.bin", id, pools.kv, pools.mtp, checksums);
}

// The sentence that bytes are refused with; empty if they are not.
std::string refusal(std::span<const std::byte> bytes, const StateIdentity& id,
                    Checksums checksums = Checksums::Verify) {
  try {
    parse(bytes, id, checksums);
  } catch (const FormatError& error) {
    return error.what();
  } catch (const UnsupportedError& error) {
    return std::string("unsupported: ") + error.what();
  }
  return "";
}

bool same_bytes(const void* a, const void* b, std::size_t n) { return std::memcmp(a, b, n) == 0; }

// The first n_valid positions of two pages: all bytes of both, once what lies behind is cleared.
bool same_page(const std::shared_ptr<std::byte>& read, const std::shared_ptr<std::byte>& saved,
               const KvPageShape& shape, int n_valid) {
  std::vector<std::byte> clean(saved.get(), saved.get() + shape.page_bytes());
  clear_positions_from(clean.data(), shape, n_valid);
  return same_bytes(read.get(), clean.data(), clean.size());
}

void expect_same(const Checkpoint& read, const Checkpoint& saved, int n_in_last_page) {
  EXPECT_EQ(read.tokens, saved.tokens);
  EXPECT_EQ(read.kv_shape, saved.kv_shape);
  EXPECT_EQ(read.mtp_shape, saved.mtp_shape);
  ASSERT_EQ(read.recurrent.s.size(), saved.recurrent.s.size());
  ASSERT_EQ(read.recurrent.conv.size(), saved.recurrent.conv.size());
  EXPECT_TRUE(same_bytes(read.recurrent.s.data(), saved.recurrent.s.data(),
                         saved.recurrent.s.size() * sizeof(float)));
  EXPECT_TRUE(same_bytes(read.recurrent.conv.data(), saved.recurrent.conv.data(),
                         saved.recurrent.conv.size() * sizeof(float)));
  ASSERT_EQ(read.hidden.size(), saved.hidden.size());
  EXPECT_TRUE(
      same_bytes(read.hidden.data(), saved.hidden.data(), saved.hidden.size() * sizeof(float)));
  ASSERT_EQ(read.kv.size(), saved.kv.size());
  ASSERT_EQ(read.mtp_kv.size(), saved.mtp_kv.size());
  for (std::size_t i = 0; i < saved.kv.size(); ++i) {
    const bool is_last = i + 1 == saved.kv.size();
    const int n = is_last ? n_in_last_page : kKvPagePositions;
    EXPECT_TRUE(same_page(read.kv[i], saved.kv[i], saved.kv_shape, n)) << i;
    EXPECT_TRUE(same_page(read.mtp_kv[i], saved.mtp_kv[i], saved.mtp_shape, is_last ? n - 1 : n))
        << i;
  }
}

// ---- What is saved comes back. ----

TEST_F(CheckpointFiles, ComeBackBitForBit) {
  for (const Type type : {Type::F32, Type::F16, Type::BF16, Type::Q8_0, Type::Q4_0}) {
    StateIdentity id = small_identity();
    id.kv = {3, 2, 64, {type, Type::F16}};
    id.mtp_kv = {1, 2, 64, {Type::F16, type}};
    id.delta = {2, 4, 32, 16};
    id.n_recurrent_layers = 3;
    Maker maker(id);
    const auto a = maker.make(150);
    const auto b = maker.make(300, a.get(), 2);
    const auto written = write_checkpoints(path_, id, std::vector<CheckpointPtr>{a, b});
    EXPECT_EQ(written.n_bytes, fs::file_size(path_));
    EXPECT_EQ(written.n_tokens, 300U);

    const LoadedCheckpoints read = this->read(id);
    EXPECT_EQ(read.result.n_bytes, written.n_bytes);
    EXPECT_EQ(read.result.n_tokens, 300U);
    ASSERT_EQ(read.checkpoints.size(), 2U);
    expect_same(*read.checkpoints[0], *a, 150 - 128);
    expect_same(*read.checkpoints[1], *b, 300 - 256);
    EXPECT_EQ(read.checkpoints[0]->kv[1], read.checkpoints[1]->kv[1]) << "shared again";
    EXPECT_NE(read.checkpoints[0]->kv[2], read.checkpoints[1]->kv[2]);
  }
}

TEST_F(CheckpointFiles, WrittenAgainIsTheSameFile) {
  const StateIdentity id = small_identity();
  Maker maker(id);
  const auto a = maker.make(100);
  write_checkpoints(path_, id, std::vector<CheckpointPtr>{a, maker.make(64, a.get(), 1)});
  const auto first = bytes();
  write_checkpoints(path_, id, read(id).checkpoints);
  EXPECT_EQ(bytes(), first);
}

TEST_F(CheckpointFiles, AreForTheirOwnerOnly) {
  Maker maker(small_identity());
  write_checkpoints(path_, small_identity(), std::vector<CheckpointPtr>{maker.make(3)});
  EXPECT_EQ(fs::status(path_).permissions(), fs::perms{0600});
}

TEST_F(CheckpointFiles, HaveTheSizeTheDocumentTells) {
  StateIdentity id = small_identity();
  id.kv.types = {Type::F16, Type::F16};
  id.mtp_kv = {};
  id.d_model = 32;
  auto c = std::make_shared<Checkpoint>();
  {
    StateIdentity with_head = id;
    with_head.mtp_kv = id.kv;
    c = Maker(with_head).make(65);
  }
  c->mtp_kv.clear();
  c->mtp_shape = {};
  EXPECT_EQ(write_checkpoints(path_, id, std::vector<CheckpointPtr>{c}).n_bytes, 18568U);
  const auto pool = std::make_shared<KvPagePool>(id.kv);
  const auto read = read_checkpoints(path_, id, pool, nullptr);
  EXPECT_EQ(read.checkpoints.at(0)->tokens, c->tokens);
  EXPECT_TRUE(read.checkpoints[0]->mtp_kv.empty());
}

TEST_F(CheckpointFiles, MayHoldNone) {
  const StateIdentity id = small_identity();
  EXPECT_EQ(write_checkpoints(path_, id, {}).n_tokens, 0U);
  EXPECT_TRUE(read(id).checkpoints.empty());
}

// A page shared by a shorter and a longer checkpoint keeps what the longer one needs.
TEST_F(CheckpointFiles, SharedPageKeepsThePositionsOfTheLongest) {
  const StateIdentity id = small_identity();
  Maker maker(id);
  const auto longer = maker.make(50);
  const auto shorter = maker.make(20, longer.get(), 1);
  write_checkpoints(path_, id, std::vector<CheckpointPtr>{shorter, longer});
  const LoadedCheckpoints read = this->read(id);
  expect_same(*read.checkpoints[0], *shorter, 50);
  expect_same(*read.checkpoints[1], *longer, 50);
}

// What a page holds of positions beyond the sequence belonged to somebody else.
TEST_F(CheckpointFiles, HoldNothingBeyondTheSequence) {
  StateIdentity id = small_identity();
  id.kv = {1, 1, 32, {Type::F32, Type::F32}};
  id.mtp_kv = id.kv;
  const auto c = Maker(id).make(10);
  const std::string secret = "belongs to another request";
  const auto hide = [&](std::byte* page, int position) {
    // Of a value tile the elements of a position lie together.
    std::memcpy(page + id.kv.key_layer_bytes() + static_cast<std::size_t>(position) * 32 * 4,
                secret.data(), secret.size());
  };
  const auto count = [&] {
    const auto all = bytes();
    const std::string text(reinterpret_cast<const char*>(all.data()), all.size());
    int n = 0;
    for (auto at = text.find(secret); at != std::string::npos; at = text.find(secret, at + 1)) ++n;
    return n;
  };
  hide(c->kv[0].get(), 9);
  hide(c->mtp_kv[0].get(), 8);
  write_checkpoints(path_, id, std::vector<CheckpointPtr>{c});
  EXPECT_EQ(count(), 2) << "the last positions that count";
  for (const int position : {10, 15, 16, 40, 63}) hide(c->kv[0].get(), position);
  for (const int position : {9, 15, 16, 40, 63}) hide(c->mtp_kv[0].get(), position);
  write_checkpoints(path_, id, std::vector<CheckpointPtr>{c});
  EXPECT_EQ(count(), 2) << "nothing behind them";
}

TEST_F(CheckpointFiles, RefuseToSaveACheckpointOfAnotherModel) {
  const StateIdentity id = small_identity();
  const auto expect_refused = [&](const std::function<void(Checkpoint&)>& spoil) {
    const auto c = Maker(id).make(70);
    spoil(*c);
    EXPECT_THROW(write_checkpoints(path_, id, std::vector<CheckpointPtr>{c}), RequestError);
    EXPECT_FALSE(fs::exists(path_));
  };
  expect_refused([](Checkpoint& c) { c.tokens.clear(); });
  expect_refused([](Checkpoint& c) { c.tokens.resize(64); });
  expect_refused([](Checkpoint& c) { c.kv_shape.head_dim = 64; });
  expect_refused([](Checkpoint& c) { c.mtp_shape.types.key = Type::F32; });
  expect_refused([](Checkpoint& c) { c.mtp_kv.pop_back(); });
  expect_refused([](Checkpoint& c) { c.mtp_kv.clear(); });
  expect_refused([](Checkpoint& c) { c.hidden.pop_back(); });
  expect_refused([](Checkpoint& c) { c.recurrent.s = AlignedBuffer<float>(1); });
  expect_refused([](Checkpoint& c) { c.recurrent.conv = AlignedBuffer<float>(1); });
}

// ---- What is damaged is refused. ----

class DamagedCheckpointFiles : public CheckpointFiles {
 protected:
  void SetUp() override {
    CheckpointFiles::SetUp();
    Maker maker(id_);
    const auto a = maker.make(70);
    write_checkpoints(path_, id_, std::vector<CheckpointPtr>{a, maker.make(66, a.get(), 1)});
    good_ = bytes();
  }

  // The refusal when one 32-bit number of the file is another one, checksums aside.
  std::string refusal_with(std::size_t offset, std::uint32_t value) const {
    std::vector<std::byte> bytes = good_;
    std::memcpy(bytes.data() + offset, &value, sizeof(value));
    return refusal(bytes, id_, Checksums::Ignore);
  }

  StateIdentity id_ = small_identity();
  std::vector<std::byte> good_;
};

TEST_F(DamagedCheckpointFiles, EveryChangedByteIsFound) {
  ASSERT_EQ(refusal(good_, id_), "");
  std::vector<std::byte> bytes = good_;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    for (const int bits : {0x01, 0xff}) {
      bytes[i] ^= static_cast<std::byte>(bits);
      const std::string text = refusal(bytes, id_);
      ASSERT_THAT(text, AllOf(HasSubstr("slot.bin: offset "),
                              HasSubstr(i < 8 ? "not a state file" : "save it again")))
          << "byte " << i;
      bytes[i] = good_[i];
    }
  }
}

TEST_F(DamagedCheckpointFiles, EveryOtherLengthIsFound) {
  for (std::size_t n = 0; n < good_.size(); ++n) {
    ASSERT_THAT(refusal(std::span(good_).first(n), id_), HasSubstr("slot.bin: offset ")) << n;
  }
  std::vector<std::byte> longer = good_;
  for (int i = 0; i < 100; ++i) {
    longer.push_back(std::byte{0});
    ASSERT_THAT(refusal(longer, id_), HasSubstr("bytes more than the header tells")) << i;
  }
}

TEST_F(DamagedCheckpointFiles, RefusalsNameTheSection) {
  const std::size_t record = kStateHeaderBytes + kChecksumBytes;
  const std::size_t record_bytes = kRecordHeaderBytes + 4 * (70 + 2 + 2) + kChecksumBytes;
  const StateSizes sizes(id_);
  const std::size_t pages = record + 2 * record_bytes - 4 * 4;
  const std::size_t mtp_pages = pages + 3 * (sizes.kv_page + kChecksumBytes);
  const std::size_t states = mtp_pages + 3 * (sizes.mtp_page + kChecksumBytes);
  const std::size_t conv = states + sizes.n_matrix * 4 + kChecksumBytes;
  const std::size_t hidden = conv + sizes.n_conv * 4 + kChecksumBytes;
  const std::vector<std::pair<std::size_t, std::string>> cases = {
      {20, "offset 0: the checksum of the header"},
      {record + 20, "offset 128: the checksum of record 0"},
      {record + record_bytes + 20, "the checksum of record 1"},
      {pages, "the checksum of page 0"},
      {pages + 2 * (sizes.kv_page + kChecksumBytes), "the checksum of page 2"},
      {mtp_pages, "the checksum of page of the MTP head 0"},
      {states, "the checksum of the matrices of state 0"},
      {conv, "the checksum of the convolution inputs of state 0"},
      {hidden, "the checksum of the hidden row of state 0"}};
  for (const auto& [offset, text] : cases) {
    std::vector<std::byte> bytes = good_;
    bytes[offset] ^= std::byte{1};
    EXPECT_THAT(refusal(bytes, id_), HasSubstr(text)) << offset;
  }
}

TEST_F(DamagedCheckpointFiles, SectionsInEachOthersPlaceAreFound) {
  const StateSizes sizes(id_);
  const std::size_t page = sizes.kv_page + kChecksumBytes;
  const std::size_t pages = kStateHeaderBytes + kChecksumBytes + 2 * kRecordHeaderBytes +
                            4 * (70 + 66 + 8) + 2 * kChecksumBytes;
  std::vector<std::byte> bytes = good_;
  const auto first = bytes.begin() + static_cast<std::ptrdiff_t>(pages);
  const auto second = first + static_cast<std::ptrdiff_t>(page);
  std::swap_ranges(first, second, second);
  EXPECT_THAT(refusal(bytes, id_), HasSubstr("the checksum of page 0"));
}

// Numbers that only a forger could write, as they stand behind a checksum.
TEST_F(DamagedCheckpointFiles, NumbersOutOfRangeAreFound) {
  constexpr std::uint32_t kMost = 0xffffffff;
  const std::size_t record = kStateHeaderBytes + kChecksumBytes;
  const std::size_t tokens = record + kRecordHeaderBytes;
  const std::size_t kv = tokens + 4 * 70;
  const std::size_t mtp = kv + 4 * 2;
  EXPECT_EQ(refusal_with(tokens, 5), "") << "checksums are ignored here";
  EXPECT_THAT(refusal_with(12, kMost), HasSubstr("states of"));
  EXPECT_THAT(refusal_with(12, 3), HasSubstr("do not fit"));
  EXPECT_THAT(refusal_with(12, 1), HasSubstr("more than the header tells"));
  EXPECT_THAT(refusal_with(92, 1), HasSubstr("must be zero"));
  EXPECT_THAT(refusal_with(96, kMost), HasSubstr("pages of"));
  EXPECT_THAT(refusal_with(100, kMost), HasSubstr("pages of"));  // the upper half of 64 bits
  EXPECT_THAT(refusal_with(108, kMost), HasSubstr("pages of the MTP head"));
  EXPECT_THAT(refusal_with(116, kMost), HasSubstr("bytes of records"));
  for (const std::uint32_t n : {0U, 0x80000000U, kMost}) {
    EXPECT_THAT(refusal_with(record, n), HasSubstr("record 0 has")) << n;
  }
  EXPECT_THAT(refusal_with(record, 0x7fffffff), HasSubstr("pages"));
  EXPECT_THAT(refusal_with(record, 71), HasSubstr("offset"));
  EXPECT_THAT(refusal_with(record + 4, 3), HasSubstr("which need 2 and 2"));
  EXPECT_THAT(refusal_with(record + 8, 0), HasSubstr("which need 2 and 2"));
  EXPECT_THAT(refusal_with(tokens + 4, 1000), HasSubstr("token 1 of record 0 is 1000"));
  EXPECT_THAT(refusal_with(tokens, kMost), HasSubstr("token 0 of record 0 is -1"));
  EXPECT_THAT(refusal_with(kv, 3), HasSubstr("names page 3 of 3"));
  EXPECT_THAT(refusal_with(kv + 4, 0), HasSubstr("at place 0 of one list and at 1 of another"));
  EXPECT_THAT(refusal_with(kv + 4, 2), HasSubstr("a page that no checkpoint has"));
  EXPECT_THAT(refusal_with(mtp, kMost), HasSubstr("page of the MTP head"));
}

// With checksums ignored nothing may crash or be read out of bounds (the sanitized run looks).
TEST_F(DamagedCheckpointFiles, RandomDamageBehindChecksumsIsRefusedOrHarmless) {
  std::mt19937 random(3);
  for (int round = 0; round < 20'000; ++round) {
    std::vector<std::byte> bytes = good_;
    const std::size_t records_end = 800;
    for (unsigned i = 0; i <= random() % 3; ++i) {
      bytes[12 + random() % records_end] = static_cast<std::byte>(random());
    }
    refusal(bytes, id_, Checksums::Ignore);
  }
}

// ---- What belongs to another model is refused. ----

TEST_F(DamagedCheckpointFiles, AnotherModelIsNamed) {
  const auto with = [&](const std::function<void(StateIdentity&)>& change) {
    StateIdentity id = id_;
    change(id);
    return refusal(good_, id);
  };
  EXPECT_THAT(with([](StateIdentity& id) { id.model_fingerprint = 1; }),
              AllOf(HasSubstr("unsupported: slot.bin: saved with another model"),
                    HasSubstr("0123456789abcdef"), HasSubstr("0000000000000001")));
  EXPECT_THAT(with([](StateIdentity& id) { id.kv.types.key = Type::F16; }),
              HasSubstr("the key type is Q4_0 in the file and F16 here; start with --cache-type-k "
                        "Q4_0"));
  EXPECT_THAT(with([](StateIdentity& id) { id.kv.types.value = Type::F32; }),
              HasSubstr("--cache-type-v Q4_0"));
  EXPECT_THAT(with([](StateIdentity& id) { id.mtp_kv.types.value = Type::F32; }),
              HasSubstr("the value type of the MTP head is Q8_0 in the file and F32 here"));
  const std::vector<std::pair<std::function<void(StateIdentity&)>, std::string>> numbers = {
      {[](StateIdentity& id) { id.kv.n_layers = 9; }, "the number of attention layers is 1"},
      {[](StateIdentity& id) { id.kv.n_kv_heads = 9; }, "key and value heads is 1"},
      {[](StateIdentity& id) { id.kv.head_dim = 64; }, "the width of a key or value head is 32"},
      {[](StateIdentity& id) { id.mtp_kv.n_layers = 9; }, "attention layers of the MTP head is 1"},
      {[](StateIdentity& id) { id.mtp_kv.n_kv_heads = 9; }, "value heads of the MTP head is 1"},
      {[](StateIdentity& id) { id.mtp_kv.head_dim = 64; }, "value head of the MTP head is 32"},
      {[](StateIdentity& id) { id.delta.n_k_heads = 9; }, "delta-net key heads is 1"},
      {[](StateIdentity& id) { id.delta.n_v_heads = 9; }, "delta-net value heads is 1"},
      {[](StateIdentity& id) { id.delta.d_k = 9; }, "the width of a delta-net key head is 16"},
      {[](StateIdentity& id) { id.delta.d_v = 9; }, "the width of a delta-net value head is 16"},
      {[](StateIdentity& id) { id.n_recurrent_layers = 9; }, "recurrent layers is 1"},
      {[](StateIdentity& id) { id.d_model = 9; }, "the width of a hidden row is 8"},
      {[](StateIdentity& id) { id.n_vocab = 9; }, "the size of the vocabulary is 1000"}};
  for (const auto& [change, text] : numbers) {
    EXPECT_THAT(with(change), AllOf(HasSubstr("unsupported: "), HasSubstr(text)));
  }
}

TEST_F(DamagedCheckpointFiles, AnotherVersionIsUnsupported) {
  EXPECT_THAT(refusal_with(8, 2), HasSubstr("unsupported: slot.bin: offset 8: a state file of "
                                            "version 2, this program reads version 1"));
}

TEST_F(DamagedCheckpointFiles, OtherFilesAreNotStateFiles) {
  const std::string text = "GGUF\x03 and many more bytes than any header has";
  EXPECT_THAT(refusal(std::as_bytes(std::span(text)), id_), HasSubstr("not a state file"));
  EXPECT_THROW(read_checkpoints((folder_ / "absent").string(), id_, Pools(id_).kv, Pools(id_).mtp),
               IoError);
  EXPECT_THROW(read_checkpoints(folder_.string(), id_, Pools(id_).kv, Pools(id_).mtp), IoError);
}

TEST_F(DamagedCheckpointFiles, PoolsMustHaveTheIdentitysShape) {
  StateIdentity other = id_;
  other.kv.head_dim = 64;
  EXPECT_THROW(read_checkpoints(path_, id_, Pools(other).kv, Pools(id_).mtp), RequestError);
  EXPECT_THROW(read_checkpoints(path_, id_, Pools(id_).kv, nullptr), RequestError);
}

TEST_F(DamagedCheckpointFiles, NothingIsKeptOfARefusedFile) {
  const Pools pools(id_);
  std::vector<std::byte> bytes = good_;
  bytes.back() ^= std::byte{1};
  EXPECT_THROW(parse_checkpoints(bytes, "slot.bin", id_, pools.kv, pools.mtp), FormatError);
  EXPECT_EQ(pools.kv->n_used(), 0);
  EXPECT_EQ(pools.mtp->n_used(), 0);
}

// ---- A killed writer. ----

// A process that saves one of two states again and again is killed at many moments: the file is
// then whole, and one of the two.
TEST_F(CheckpointFiles, AreWholeOrAbsentWhenTheWriterIsKilled) {
  StateIdentity id = small_identity();
  id.kv = {2, 2, 64, {Type::F16, Type::F16}};
  id.n_recurrent_layers = 40;
  id.delta = {4, 8, 32, 32};  // 1.3 MB of state, so that writing takes some milliseconds
  int n_whole = 0;
  for (int round = 0; round < 24; ++round) {
    if (round % 8 == 0) fs::remove(path_);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      try {
        Maker maker(id);
        const std::vector<CheckpointPtr> one = {maker.make(500)};
        const std::vector<CheckpointPtr> two = {maker.make(900)};
        for (;;) {
          write_checkpoints(path_, id, one);
          write_checkpoints(path_, id, two);
        }
      } catch (...) {
        ::_exit(1);
      }
    }
    // At first perhaps before there is any file, later while one is being replaced.
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (round % 8 >= 2 && !fs::exists(path_) && std::chrono::steady_clock::now() < give_up) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(3 * round));
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child could not write";
    if (!fs::exists(path_)) continue;
    const LoadedCheckpoints read = this->read(id);
    ASSERT_EQ(read.checkpoints.size(), 1U);
    EXPECT_THAT(read.result.n_tokens, ::testing::AnyOf(500U, 900U));
    ++n_whole;
  }
  EXPECT_GE(n_whole, 18);
}

}  // namespace
}  // namespace foretoken::cache
