// Reading a state file goes from sizes to records to contents, and trusts a count only when the
// file is long enough for it.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "cache/checkpoint_file.h"
#include "cache/state_header.h"

namespace foretoken::cache {
namespace {

constexpr std::size_t kNoPlace = std::numeric_limits<std::size_t>::max();
// Of a mapped file about so much is in memory at a time.
constexpr std::size_t kWindowBytes = std::size_t{16} << 20;

// What a checkpoint's record says.
struct Record {
  std::vector<TokenId> tokens;
  std::vector<std::uint32_t> kv;
  std::vector<std::uint32_t> mtp;
};

class Reader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& file, const StateIdentity& identity,
         Checksums checksums)
      : in_(bytes, file), identity_(identity), sizes_(identity), checksums_(checksums) {}

  // Called with the offset up to which the bytes are no longer needed.
  template <class Done>
  LoadedCheckpoints read(const std::shared_ptr<KvPagePool>& kv_pool,
                         const std::shared_ptr<KvPagePool>& mtp_pool, const Done& done) {
    read_header();
    read_records();
    done(in_.position());
    const KvPages kv = read_pages(kv_pool, header_.n_kv_pages, "page", done);
    const KvPages mtp = read_pages(mtp_pool, header_.n_mtp_pages, "page of the MTP head", done);
    LoadedCheckpoints out;
    out.checkpoints.reserve(records_.size());
    for (Record& record : records_) {
      out.result.n_tokens = std::max(out.result.n_tokens, record.tokens.size());
      out.checkpoints.push_back(read_state(record, kv, mtp, out.checkpoints.size()));
      done(in_.position());
    }
    out.result.n_bytes = in_.position();
    return out;
  }

 private:
  [[noreturn]] void damaged(std::size_t offset, const std::string& what) const {
    throw FormatError(fmt::format("{}: offset {}: {}; the file is damaged, save it again",
                                  in_.file(), offset, what));
  }

  void check_sum(std::span<const std::byte> bytes, std::size_t offset, std::uint64_t saved,
                 const std::string& what) const {
    if (checksums_ == Checksums::Ignore) return;
    const std::uint64_t found = section_checksum(bytes, offset);
    if (found == saved) return;
    damaged(offset, fmt::format("the checksum of {} is {:016x}, but its {} bytes have {:016x}",
                                what, saved, bytes.size(), found));
  }

  void read_header() {
    // A file may be shorter; what is missing is said once it is known to be a state file at all.
    const auto bytes = in_.read_bytes(std::min(in_.remaining(), kStateHeaderBytes), "the header");
    const std::vector<std::byte> copy(bytes.begin(), bytes.end());
    header_ = StateHeader::decode(copy, in_.file());
    check_sum(copy, 0, in_.read<std::uint64_t>("a checksum"), "the header");
    header_.require_identity(identity_, in_.file());
    std::uint64_t left = in_.remaining();
    const auto take = [&](std::uint64_t count, std::uint64_t each, std::string_view what) {
      if (count > left / each) {
        damaged(0, fmt::format("{} {} of {} bytes do not fit into the {} bytes that are left",
                               count, what, each, left));
      }
      left -= count * each;
    };
    take(header_.n_checkpoints, sizes_.state_bytes() + kStateSections * kChecksumBytes, "states");
    take(header_.n_kv_pages, sizes_.kv_page + kChecksumBytes, "pages");
    take(header_.n_mtp_pages, sizes_.mtp_page + kChecksumBytes, "pages of the MTP head");
    take(header_.records_bytes, 1, "bytes of records");
    if (left != 0) damaged(0, fmt::format("{} bytes more than the header tells", left));
    if (sizes_.mtp_page == 0 && header_.n_mtp_pages > 0)
      damaged(0, "pages of a head without layers");
  }

  void read_records() {
    const std::size_t begin = in_.position();
    const auto bytes = in_.read_bytes(header_.records_bytes, "the records");
    const std::vector<std::byte> copy(bytes.begin(), bytes.end());
    std::vector<std::size_t> kv_places(static_cast<std::size_t>(header_.n_kv_pages), kNoPlace);
    std::vector<std::size_t> mtp_places(static_cast<std::size_t>(header_.n_mtp_pages), kNoPlace);
    std::size_t at = 0;
    for (std::uint32_t i = 0; i < header_.n_checkpoints; ++i) {
      at += read_record(std::span(copy).subspan(at), begin + at, i);
      note_places(records_.back().kv, kv_places, begin + at, "page");
      note_places(records_.back().mtp, mtp_places, begin + at, "page of the MTP head");
    }
    if (at != copy.size()) {
      damaged(begin + at, fmt::format("{} bytes behind the last record", copy.size() - at));
    }
    const auto is_unused = [](std::size_t place) { return place == kNoPlace; };
    if (std::ranges::any_of(kv_places, is_unused) || std::ranges::any_of(mtp_places, is_unused)) {
      damaged(begin, "a page that no checkpoint has");
    }
  }

  // Appends to records_ and returns the record's bytes with its checksum. `offset` is where `bytes`
  // begin in the file.
  std::size_t read_record(std::span<const std::byte> bytes, std::size_t offset,
                          std::uint32_t index) {
    const std::string what = fmt::format("record {}", index);
    if (bytes.size() < kRecordHeaderBytes) damaged(offset, what + " is cut off");
    const auto n_tokens = load_le<std::uint32_t>(bytes.data());
    const auto n_kv = load_le<std::uint32_t>(bytes.data() + 4);
    const auto n_mtp = load_le<std::uint32_t>(bytes.data() + 8);
    if (n_tokens < 1 || n_tokens > std::numeric_limits<int>::max()) {
      damaged(offset, fmt::format("{} has {} tokens", what, n_tokens));
    }
    const auto n_pages = static_cast<std::uint32_t>(kernels::kv_pages(static_cast<int>(n_tokens)));
    const std::size_t n_mtp_expected = sizes_.mtp_pages(n_pages);
    if (n_kv != n_pages || n_mtp != n_mtp_expected) {
      damaged(offset,
              fmt::format("{} has {} pages and {} of the MTP head for {} tokens, which need "
                          "{} and {}",
                          what, n_kv, n_mtp, n_tokens, n_pages, n_mtp_expected));
    }
    const std::size_t size = kRecordHeaderBytes + 4 * (std::size_t{n_tokens} + n_kv + n_mtp);
    if (bytes.size() < size + kChecksumBytes) {
      damaged(offset, fmt::format("{} needs {} bytes but {} are left of the records", what,
                                  size + kChecksumBytes, bytes.size()));
    }
    check_sum(bytes.first(size), offset, load_le<std::uint64_t>(bytes.data() + size), what);
    Record record;
    const std::byte* from = bytes.data() + kRecordHeaderBytes;
    from = copy_numbers(from, n_tokens, record.tokens);
    from = copy_numbers(from, n_kv, record.kv);
    copy_numbers(from, n_mtp, record.mtp);
    check_tokens(record.tokens, offset, what);
    records_.push_back(std::move(record));
    return size + kChecksumBytes;
  }

  template <class T>
  static const std::byte* copy_numbers(const std::byte* from, std::uint32_t n,
                                       std::vector<T>& out) {
    out.resize(n);
    if (n > 0) std::memcpy(out.data(), from, n * sizeof(T));
    return from + n * sizeof(T);
  }

  void check_tokens(std::span<const TokenId> tokens, std::size_t offset,
                    const std::string& what) const {
    const TokenId limit =
        identity_.n_vocab > 0 ? identity_.n_vocab : std::numeric_limits<TokenId>::max();
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (tokens[i] >= 0 && tokens[i] < limit) continue;
      damaged(offset + kRecordHeaderBytes + 4 * i,
              fmt::format("token {} of {} is {}; a vocabulary of {} has 0 to {}", i, what,
                          tokens[i], limit, limit - 1));
    }
  }

  // A page belongs to one place of a sequence, whoever shares it; so it cannot be in a list twice
  // either.
  void note_places(std::span<const std::uint32_t> list, std::vector<std::size_t>& places,
                   std::size_t offset, std::string_view what) const {
    for (std::size_t i = 0; i < list.size(); ++i) {
      if (list[i] >= places.size()) {
        damaged(offset, fmt::format("a list names {} {} of {}", what, list[i], places.size()));
      }
      std::size_t& place = places[list[i]];
      if (place == kNoPlace) place = i;
      if (place != i) {
        damaged(offset, fmt::format("{} {} is at place {} of one list and at {} of another", what,
                                    list[i], place, i));
      }
    }
  }

  // Fills `out` from the file and compares the checksum behind it. A mapped file may change under
  // our hands, so bytes are copied first and checked then: what was checked is what is kept.
  void read_section(std::span<std::byte> out, const std::string& what) {
    const std::size_t offset = in_.position();
    const auto bytes = in_.read_bytes(out.size(), what);
    if (!out.empty()) std::memcpy(out.data(), bytes.data(), out.size());
    check_sum(out, offset, in_.read<std::uint64_t>("a checksum"), what);
  }

  template <class Done>
  KvPages read_pages(const std::shared_ptr<KvPagePool>& pool, std::uint64_t count,
                     std::string_view what, const Done& done) {
    KvPages out;
    out.reserve(static_cast<std::size_t>(count));
    for (std::uint64_t i = 0; i < count; ++i) {
      out.push_back(pool->take());
      read_section({out.back().get(), pool->shape().page_bytes()}, fmt::format("{} {}", what, i));
      done(in_.position());
    }
    return out;
  }

  void read_floats(std::span<float> out, const std::string& what) {
    read_section(std::as_writable_bytes(out), what);
  }

  CheckpointPtr read_state(Record& record, const KvPages& kv, const KvPages& mtp,
                           std::size_t index) {
    auto out = std::make_shared<Checkpoint>();
    out->kv_shape = identity_.kv;
    out->mtp_shape = identity_.mtp_kv;
    out->tokens = std::move(record.tokens);
    for (const std::uint32_t page : record.kv) out->kv.push_back(kv[page]);
    for (const std::uint32_t page : record.mtp) out->mtp_kv.push_back(mtp[page]);
    out->recurrent.s = AlignedBuffer<float>(sizes_.n_matrix);
    out->recurrent.conv = AlignedBuffer<float>(sizes_.n_conv);
    out->hidden.resize(sizes_.n_hidden);
    read_floats(out->recurrent.s.span(), fmt::format("the matrices of state {}", index));
    read_floats(out->recurrent.conv.span(),
                fmt::format("the convolution inputs of state {}", index));
    read_floats(out->hidden, fmt::format("the hidden row of state {}", index));
    return out;
  }

  ByteCursor in_;
  const StateIdentity& identity_;
  StateSizes sizes_;
  Checksums checksums_;
  StateHeader header_;
  std::vector<Record> records_;
};

void require_pool(const std::shared_ptr<KvPagePool>& pool, const KvPageShape& shape,
                  std::string_view what) {
  if (shape.n_layers == 0 || (pool != nullptr && pool->shape() == shape)) return;
  throw RequestError(fmt::format("states cannot be read into a pool of {} of another shape", what));
}

template <class Done>
LoadedCheckpoints read_all(std::span<const std::byte> bytes, const std::string& file,
                           const StateIdentity& identity,
                           const std::shared_ptr<KvPagePool>& kv_pool,
                           const std::shared_ptr<KvPagePool>& mtp_pool, Checksums checksums,
                           const Done& done) {
  require_pool(kv_pool, identity.kv, "pages");
  require_pool(mtp_pool, identity.mtp_kv, "pages of the MTP head");
  return Reader(bytes, file, identity, checksums).read(kv_pool, mtp_pool, done);
}

}  // namespace

LoadedCheckpoints read_checkpoints(const std::string& path, const StateIdentity& identity,
                                   const std::shared_ptr<KvPagePool>& kv_pool,
                                   const std::shared_ptr<KvPagePool>& mtp_pool) {
  const MappedFile file(path);
  file.advise(0, file.bytes().size(), MappedFile::Access::Sequential);
  std::size_t dropped = 0;
  const auto done = [&](std::size_t position) {
    if (position - dropped < kWindowBytes) return;
    file.drop_pages(dropped, position - dropped);
    dropped = position;
  };
  return read_all(file.bytes(), path, identity, kv_pool, mtp_pool, Checksums::Verify, done);
}

LoadedCheckpoints parse_checkpoints(std::span<const std::byte> bytes, const std::string& file,
                                    const StateIdentity& identity,
                                    const std::shared_ptr<KvPagePool>& kv_pool,
                                    const std::shared_ptr<KvPagePool>& mtp_pool,
                                    Checksums checksums) {
  return read_all(bytes, file, identity, kv_pool, mtp_pool, checksums, [](std::size_t) {});
}

}  // namespace foretoken::cache
