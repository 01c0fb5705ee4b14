#include "cache/kv_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace foretoken::cache {
namespace {

std::size_t z(int n) { return static_cast<std::size_t>(n); }

std::size_t layer_bytes(const KvPageShape& shape, quant::Type type) {
  return z(shape.n_kv_heads) * kernels::kKvPageTiles * kernels::kv_tile_bytes(type, shape.head_dim);
}

KvPageShape checked(const KvPageShape& shape) {
  for (const quant::Type type : {shape.types.key, shape.types.value}) {
    if (kernels::is_kv_type(type)) continue;
    throw RequestError(
        fmt::format("a KV cache cannot be of type {}; use f32, f16, bf16, q8_0 or q4_0",
                    quant::type_info(type).name));
  }
  return shape;
}

}  // namespace

std::size_t KvPageShape::key_layer_bytes() const { return layer_bytes(*this, types.key); }

std::size_t KvPageShape::value_layer_bytes() const { return layer_bytes(*this, types.value); }

std::size_t KvPageShape::page_bytes() const {
  return z(n_layers) * (key_layer_bytes() + value_layer_bytes());
}

// ---- The pool.

// What the references to a page count: its memory, and a claim on the pool it returns to.
struct KvPagePool::Page {
  Page(std::shared_ptr<KvPagePool> owner, PageMemory bytes)
      : pool(std::move(owner)), memory(std::move(bytes)) {}
  Page(const Page&) = delete;
  Page& operator=(const Page&) = delete;
  ~Page() { pool->give_back(std::move(memory)); }

  std::shared_ptr<KvPagePool> pool;
  PageMemory memory;
};

KvPagePool::KvPagePool(const KvPageShape& shape)
    : shape_(checked(shape)),
      most_free_(kMostFreeBytes / std::max<std::size_t>(shape_.page_bytes(), 64 << 10)) {
  free_.reserve(most_free_);
}

std::shared_ptr<std::byte> KvPagePool::take() {
  PageMemory memory;
  {
    const std::lock_guard lock(mutex_);
    ++n_used_;
    if (!free_.empty()) {
      memory = std::move(free_.back());
      free_.pop_back();
    }
  }
  try {
    if (memory.data() == nullptr) {
      memory = PageMemory(shape_.page_bytes());
      // Scattered pages cost address translations: attending over 16K positions is a tenth slower
      // than in one stretch with small system pages, and a tenth faster with large ones.
      memory.prefer_large_pages();
    }
    const auto page = std::make_shared<Page>(shared_from_this(), std::move(memory));
    return {page, page->memory.data()};
  } catch (...) {
    const std::lock_guard lock(mutex_);
    --n_used_;
    throw;
  }
}

void KvPagePool::give_back(PageMemory memory) noexcept {
  const std::lock_guard lock(mutex_);
  --n_used_;
  if (free_.size() < most_free_) free_.push_back(std::move(memory));
}

int KvPagePool::n_used() const {
  const std::lock_guard lock(mutex_);
  return n_used_;
}

int KvPagePool::n_free() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(free_.size());
}

// ---- The cache of a sequence.

KvCache::KvCache(std::shared_ptr<KvPagePool> pool, int capacity)
    : pool_(std::move(pool)), capacity_(capacity) {}

void KvCache::prepare(int begin, int end) {
  if (begin >= end) return;
  // The bases first: what can fail comes before what would have to be undone.
  bases_.reserve(z(kernels::kv_pages(end)));
  pages_.reserve(z(kernels::kv_pages(end)));
  const int n_held = static_cast<int>(pages_.size());
  for (int i = std::min(n_held, begin / kernels::kKvPagePositions); i < kernels::kv_pages(end);
       ++i) {
    if (i == static_cast<int>(pages_.size())) {
      pages_.push_back(pool_->take());
      bases_.push_back(pages_.back().get());
    } else if (pages_[z(i)].use_count() > 1) {
      std::shared_ptr<std::byte> own = pool_->take();
      // A page of which every position is about to be stored has nothing to keep.
      if (i * kernels::kKvPagePositions < begin) {
        std::memcpy(own.get(), pages_[z(i)].get(), pool_->shape().page_bytes());
      }
      bases_[z(i)] = own.get();
      pages_[z(i)] = std::move(own);
    }
  }
}

KvPages KvCache::share(int n_positions) const {
  return {pages_.begin(), pages_.begin() + kernels::kv_pages(n_positions)};
}

void KvCache::adopt(const KvPages& pages) {
  std::vector<std::byte*> bases;
  bases.reserve(pages.size());
  for (const std::shared_ptr<std::byte>& page : pages) bases.push_back(page.get());
  pages_ = pages;
  bases_ = std::move(bases);
}

void KvCache::clear() {
  pages_.clear();
  bases_.clear();
}

kernels::KvView KvCache::view(int layer) const {
  const KvPageShape& shape = pool_->shape();
  kernels::KvView view;
  view.key_type = shape.types.key;
  view.value_type = shape.types.value;
  view.pages = bases_.data();
  view.key_offset = z(layer) * (shape.key_layer_bytes() + shape.value_layer_bytes());
  view.value_offset = view.key_offset + shape.key_layer_bytes();
  view.n_kv_heads = shape.n_kv_heads;
  view.head_dim = shape.head_dim;
  return view;
}

std::size_t KvCache::bytes_for(int n_positions) const {
  return z(kernels::kv_pages(n_positions)) * pool_->shape().page_bytes();
}

}  // namespace foretoken::cache
