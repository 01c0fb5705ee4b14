// Who holds which pages: bytes of shared pages counted once, and for each holder the bytes that
// would be free without it.
//
// A page held by exactly one holder counts as that one's own. To know who the one is without lists,
// each page keeps the exclusive or of its holders' addresses: when one remains, that is its
// address.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cache/kv_cache.h"

namespace foretoken::cache {

/// Something that holds pages. It must stay at its address while it does.
struct PageHolder {
  std::size_t exclusive_bytes = 0;  ///< of pages that no other holder has
};

class PageLedger {
 public:
  /// `holder` holds these pages of `page_bytes` each. A page may be held several times.
  void hold(PageHolder& holder, const KvPages& pages, std::size_t page_bytes);
  /// Undoes one hold() of the same pages.
  void release(PageHolder& holder, const KvPages& pages, std::size_t page_bytes);

  /// Bytes of all pages that anybody holds, each page once.
  std::size_t bytes() const { return bytes_; }

  /// Holders whose exclusive_bytes others' hold and release have changed since the last call; one
  /// may be named more than once.
  std::vector<PageHolder*> take_changed() { return std::exchange(changed_, {}); }

 private:
  struct Page {
    std::size_t n_holds = 0;
    std::uintptr_t holders = 0;  // exclusive or of their addresses
  };
  void note(PageHolder* changed, const PageHolder* caller);

  std::unordered_map<const std::byte*, Page> pages_;
  std::vector<PageHolder*> changed_;
  std::size_t bytes_ = 0;
};

}  // namespace foretoken::cache
