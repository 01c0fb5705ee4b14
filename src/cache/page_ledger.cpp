// Counts go up and down one page at a time; only the steps between one hold and two matter to
// anybody else.
#include "cache/page_ledger.h"

#include <cassert>

namespace foretoken::cache {
namespace {

std::uintptr_t address_of(const PageHolder* holder) {
  return reinterpret_cast<std::uintptr_t>(holder);
}

PageHolder* holder_at(std::uintptr_t address) { return reinterpret_cast<PageHolder*>(address); }

}  // namespace

void PageLedger::hold(PageHolder& holder, const KvPages& pages, std::size_t page_bytes) {
  for (const auto& pointer : pages) {
    Page& page = pages_[pointer.get()];
    if (page.n_holds == 0) {
      bytes_ += page_bytes;
      holder.exclusive_bytes += page_bytes;
    } else if (page.n_holds == 1) {
      PageHolder* const only = holder_at(page.holders);
      only->exclusive_bytes -= page_bytes;
      note(only, &holder);
    }
    ++page.n_holds;
    page.holders ^= address_of(&holder);
  }
}

void PageLedger::release(PageHolder& holder, const KvPages& pages, std::size_t page_bytes) {
  for (const auto& pointer : pages) {
    const auto found = pages_.find(pointer.get());
    assert(found != pages_.end());  // every release undoes a hold
    Page& page = found->second;
    --page.n_holds;
    page.holders ^= address_of(&holder);
    if (page.n_holds == 0) {
      bytes_ -= page_bytes;
      holder.exclusive_bytes -= page_bytes;
      pages_.erase(found);
    } else if (page.n_holds == 1) {
      PageHolder* const only = holder_at(page.holders);
      only->exclusive_bytes += page_bytes;
      note(only, &holder);
    }
  }
}

void PageLedger::note(PageHolder* changed, const PageHolder* caller) {
  if (changed == caller) return;
  if (changed_.empty() || changed_.back() != changed) changed_.push_back(changed);
}

}  // namespace foretoken::cache
