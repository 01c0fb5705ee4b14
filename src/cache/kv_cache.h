// Keys and values of the full-attention layers, in pages of 64 positions that sequences share.
//
// A page holds all layers of its positions, so that a sequence is a list of pages and sharing a
// prefix is sharing the front of that list. Pages are counted references: positions that are stored
// never change while anyone else holds the page; who wants to store into a shared page gets a copy
// of it first (KvCache::prepare). Dropping positions is a matter of the caller's count: what lies
// beyond it is overwritten by the next store.
// Source: docs/cache-and-state.md; paged attention (Kwon et al., 2023) for the idea.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "base/aligned_buffer.h"
#include "kernels/kv_layout.h"
#include "quant/type.h"

namespace foretoken::cache {

/// Element types of keys and values.
struct KvTypes {
  quant::Type key = quant::Type::F16;
  quant::Type value = quant::Type::F16;

  bool operator==(const KvTypes&) const = default;
};

/// What one page holds: [layer][keys: n_kv_heads * kKvPageTiles tiles][values: the same].
struct KvPageShape {
  int n_layers = 0;
  int n_kv_heads = 0;
  int head_dim = 0;
  KvTypes types;

  std::size_t key_layer_bytes() const;
  std::size_t value_layer_bytes() const;
  std::size_t page_bytes() const;
  bool operator==(const KvPageShape&) const = default;
};

/// Makes and takes back pages; up to kMostFreeBytes of dropped pages are kept for reuse. Thread
/// safe, and kept alive by its pages.
class KvPagePool : public std::enable_shared_from_this<KvPagePool> {
 public:
  static constexpr std::size_t kMostFreeBytes = std::size_t{256} << 20;

  /// To be owned by a shared_ptr. Throws RequestError for a type no cache has.
  explicit KvPagePool(const KvPageShape& shape);

  /// A page with undefined content; it goes back to the pool when the last reference goes. Throws
  /// IoError when memory cannot be had.
  std::shared_ptr<std::byte> take();

  const KvPageShape& shape() const { return shape_; }
  /// Pages that somebody holds now.
  int n_used() const;
  /// Pages kept for reuse.
  int n_free() const;

 private:
  struct Page;
  void give_back(PageMemory memory) noexcept;

  KvPageShape shape_;
  std::size_t most_free_;
  mutable std::mutex mutex_;
  std::vector<PageMemory> free_;  // reserved for most_free_, so that giving back cannot fail
  int n_used_ = 0;
};

/// The pages of a sequence, front to back.
using KvPages = std::vector<std::shared_ptr<std::byte>>;

/// The cache of one sequence.
class KvCache {
 public:
  /// `capacity`: most positions.
  KvCache(std::shared_ptr<KvPagePool> pool, int capacity);

  /// Makes positions [begin, end) storable: takes missing pages, copies those that others hold too.
  /// To be called before every pass that stores there. What was stored below `begin` stays. Throws
  /// IoError when memory cannot be had; nothing stored is lost then. Requires 0 <= begin <= end <=
  /// capacity().
  void prepare(int begin, int end);

  /// Pages of the first n_positions, for a checkpoint. Requires that these were prepared.
  KvPages share(int n_positions) const;
  /// The sequence becomes one that starts with these pages, of this pool or one of equal shape.
  void adopt(const KvPages& pages);
  /// Gives all pages back.
  void clear();

  /// Valid until the next prepare, adopt or clear.
  kernels::KvView view(int layer) const;
  int capacity() const { return capacity_; }
  const std::shared_ptr<KvPagePool>& pool() const { return pool_; }
  /// Bytes that `n_positions` positions of all layers take, in whole pages.
  std::size_t bytes_for(int n_positions) const;

 private:
  std::shared_ptr<KvPagePool> pool_;
  int capacity_;
  KvPages pages_;
  std::vector<std::byte*> bases_;  // of pages_, for the kernels
};

}  // namespace foretoken::cache
