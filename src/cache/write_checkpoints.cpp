// Writing a state file: all records first, which settles what every page still needs, then pages
// and states as they lie in memory.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <string_view>
#include <unordered_map>

#include "base/error.h"
#include "base/output_file.h"
#include "cache/checkpoint_file.h"
#include "cache/clear_positions.h"
#include "cache/state_header.h"

namespace foretoken::cache {
namespace {

// Pages in the order of their first use, each once, with how many of its positions count.
class PageTable {
 public:
  struct Page {
    std::shared_ptr<std::byte> memory;
    int n_valid = 0;
  };

  // Indices of a list's pages; `n_valid` positions of the list count.
  std::vector<std::uint32_t> add(const KvPages& list, int n_valid) {
    std::vector<std::uint32_t> out;
    out.reserve(list.size());
    int left = n_valid;
    for (const auto& memory : list) {
      const auto index = static_cast<std::uint32_t>(pages_.size());
      const auto [at, is_new] = index_.emplace(memory.get(), index);
      if (is_new) pages_.push_back({memory, 0});
      Page& page = pages_[at->second];
      page.n_valid = std::max(page.n_valid, std::clamp(left, 0, kernels::kKvPagePositions));
      left -= kernels::kKvPagePositions;
      out.push_back(at->second);
    }
    return out;
  }

  const std::vector<Page>& pages() const { return pages_; }

 private:
  std::vector<Page> pages_;
  std::unordered_map<const std::byte*, std::uint32_t> index_;
};

void require_identity(const Checkpoint& c, const StateIdentity& id) {
  const StateSizes sizes(id);
  const auto n_pages = static_cast<std::size_t>(kernels::kv_pages(
      static_cast<int>(std::min<std::size_t>(c.tokens.size(), std::numeric_limits<int>::max()))));
  const auto refuse = [&](std::string_view what) {
    throw RequestError(fmt::format("cannot save a checkpoint of {} tokens: {} of another model",
                                   c.tokens.size(), what));
  };
  if (c.tokens.empty() || c.tokens.size() > std::numeric_limits<int>::max()) {
    throw RequestError(fmt::format("cannot save a checkpoint of {} tokens; it needs 1 to {}",
                                   c.tokens.size(), std::numeric_limits<int>::max()));
  }
  if (c.kv_shape != id.kv || c.kv.size() != n_pages) refuse("its pages are");
  if (c.mtp_kv.size() != sizes.mtp_pages(n_pages) ||
      (!c.mtp_kv.empty() && c.mtp_shape != id.mtp_kv)) {
    refuse("its pages of the MTP head are");
  }
  if (c.recurrent.s.size() != sizes.n_matrix || c.recurrent.conv.size() != sizes.n_conv) {
    refuse("its recurrent state is");
  }
  if (c.hidden.size() != sizes.n_hidden) refuse("its hidden row is");
}

// One checkpoint's tokens and pages. Of the head one position less counts, as each of its rows
// needs the next token.
std::vector<std::byte> encode_record(const Checkpoint& c, PageTable& kv, PageTable& mtp) {
  const int n_tokens = static_cast<int>(c.tokens.size());
  const std::vector<std::uint32_t> kv_list = kv.add(c.kv, n_tokens);
  const std::vector<std::uint32_t> mtp_list = mtp.add(c.mtp_kv, n_tokens - 1);
  const std::vector<std::uint32_t> counts = {static_cast<std::uint32_t>(n_tokens),
                                             static_cast<std::uint32_t>(kv_list.size()),
                                             static_cast<std::uint32_t>(mtp_list.size())};
  std::vector<std::byte> out;
  const auto append = [&](std::span<const std::byte> part) {
    out.insert(out.end(), part.begin(), part.end());
  };
  append(std::as_bytes(std::span(counts)));
  append(std::as_bytes(std::span(c.tokens)));
  append(std::as_bytes(std::span(kv_list)));
  append(std::as_bytes(std::span(mtp_list)));
  return out;
}

// Appends sections, each followed by its checksum.
class SectionWriter {
 public:
  explicit SectionWriter(OutputFile& out) : out_(out) {}

  void write(std::span<const std::byte> bytes) {
    const std::uint64_t sum = section_checksum(bytes, n_bytes_);
    out_.write(bytes);
    out_.write(std::as_bytes(std::span(&sum, 1)));
    n_bytes_ += bytes.size() + kChecksumBytes;
  }

  std::uint64_t n_bytes() const { return n_bytes_; }

 private:
  OutputFile& out_;
  std::uint64_t n_bytes_ = 0;
};

void write_pages(SectionWriter& out, const PageTable& table, const KvPageShape& shape) {
  std::vector<std::byte> clean;
  for (const PageTable::Page& page : table.pages()) {
    std::span<const std::byte> bytes(page.memory.get(), shape.page_bytes());
    if (page.n_valid < kernels::kKvPagePositions) {
      clean.assign(bytes.begin(), bytes.end());
      clear_positions_from(clean.data(), shape, page.n_valid);
      bytes = clean;
    }
    out.write(bytes);
  }
}

void write_state(SectionWriter& out, const Checkpoint& c) {
  out.write(std::as_bytes(c.recurrent.s.span()));
  out.write(std::as_bytes(c.recurrent.conv.span()));
  out.write(std::as_bytes(std::span(c.hidden)));
}

}  // namespace

StateFileResult write_checkpoints(const std::string& path, const StateIdentity& identity,
                                  std::span<const CheckpointPtr> checkpoints) {
  const StateSizes sizes(identity);
  StateFileResult result;
  PageTable kv;
  PageTable mtp;
  std::vector<std::vector<std::byte>> records;
  StateHeader header;
  header.set_identity(identity);
  for (const CheckpointPtr& checkpoint : checkpoints) {
    require_identity(*checkpoint, identity);
    records.push_back(encode_record(*checkpoint, kv, mtp));
    header.records_bytes += records.back().size() + kChecksumBytes;
    result.n_tokens = std::max(result.n_tokens, checkpoint->tokens.size());
  }
  header.n_checkpoints = static_cast<std::uint32_t>(checkpoints.size());
  header.n_kv_pages = kv.pages().size();
  header.n_mtp_pages = mtp.pages().size();

  // It holds what was said, token by token.
  OutputFile file(path, FileAccess::OwnerOnly);
  file.reserve(header.file_bytes(sizes));
  SectionWriter out(file);
  out.write(header.encode());
  for (const std::vector<std::byte>& record : records) out.write(record);
  write_pages(out, kv, identity.kv);
  write_pages(out, mtp, identity.mtp_kv);
  for (const CheckpointPtr& checkpoint : checkpoints) write_state(out, *checkpoint);
  file.commit();
  result.n_bytes = out.n_bytes();
  return result;
}

}  // namespace foretoken::cache
