// Pages are shared, copied before they are written, and given back.
#include "cache/kv_cache.h"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "base/error.h"

namespace foretoken::cache {
namespace {

using kernels::kKvPagePositions;

constexpr KvPageShape kShape{2, 2, 32, {quant::Type::F16, quant::Type::Q8_0}};

std::shared_ptr<KvPagePool> make_pool(const KvPageShape& shape = kShape) {
  return std::make_shared<KvPagePool>(shape);
}

// Writes a mark into the first byte of the keys of a page, and reads it back.
void mark(const KvCache& cache, int page, int value) {
  cache.view(1).pages[page][cache.view(1).key_offset] = static_cast<std::byte>(value);
}
int mark_of(const KvCache& cache, int page) {
  return static_cast<int>(cache.view(1).pages[page][cache.view(1).key_offset]);
}

TEST(KvPageShape, PageHoldsKeysAndValuesOfEveryLayer) {
  // 64 positions x 2 heads x 32 dimensions: 2 bytes each as F16; 34 per 32 as Q8_0.
  EXPECT_EQ(kShape.key_layer_bytes(), 64U * 2 * 32 * 2);
  EXPECT_EQ(kShape.value_layer_bytes(), 64U * 2 * 34);
  EXPECT_EQ(kShape.page_bytes(), 2U * (64 * 2 * 32 * 2 + 64 * 2 * 34));
}

TEST(KvPagePool, RefusesTypesNoCacheHas) {
  KvPageShape shape = kShape;
  shape.types.value = quant::Type::Q4_K;
  EXPECT_THROW(KvPagePool{shape}, RequestError);
}

TEST(KvPagePool, PagesReturnWhenTheLastReferenceGoes) {
  const auto pool = make_pool();
  std::shared_ptr<std::byte> page = pool->take();
  std::shared_ptr<std::byte> other = page;
  EXPECT_EQ(pool->n_used(), 1);
  page.reset();
  EXPECT_EQ(pool->n_used(), 1);
  const std::byte* where = other.get();
  other.reset();
  EXPECT_EQ(pool->n_used(), 0);
  EXPECT_EQ(pool->n_free(), 1);
  EXPECT_EQ(pool->take().get(), where);  // the same memory again
}

TEST(KvPagePool, PagesKeepTheirPoolAlive) {
  auto pool = make_pool();
  const std::weak_ptr<KvPagePool> watch = pool;
  std::shared_ptr<std::byte> page = pool->take();
  pool.reset();
  ASSERT_FALSE(watch.expired());
  std::memset(page.get(), 1, kShape.page_bytes());
  page.reset();
  EXPECT_TRUE(watch.expired());
}

TEST(KvPagePool, KeepsNoMoreFreePagesThanItsBound) {
  // One page of 64 MiB: 64 positions x 16 heads x 8192 dimensions x (4 + 4) bytes.
  const auto pool = make_pool({1, 16, 8192, {quant::Type::F32, quant::Type::F32}});
  ASSERT_EQ(pool->shape().page_bytes(), std::size_t{64} << 20);
  std::vector<std::shared_ptr<std::byte>> pages;
  for (int i = 0; i < 6; ++i) pages.push_back(pool->take());  // never touched, so they cost nothing
  pages.clear();
  EXPECT_EQ(pool->n_free(), 4);
}

TEST(KvPagePool, ManyThreadsTakeAndGiveBack) {
  const auto pool = make_pool();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::vector<std::shared_ptr<std::byte>> held;
      for (int i = 0; i < 300; ++i) {
        held.push_back(pool->take());
        std::memset(held.back().get(), t, 64);
        if (i % 3 == 0) held.erase(held.begin());
      }
      for (const auto& page : held) EXPECT_EQ(static_cast<int>(*page), t);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(pool->n_used(), 0);
}

TEST(KvCache, TakesPagesAsTheyAreNeeded) {
  const auto pool = make_pool();
  KvCache cache(pool, 1000);
  EXPECT_EQ(pool->n_used(), 0);
  cache.prepare(0, 1);
  EXPECT_EQ(pool->n_used(), 1);
  cache.prepare(1, kKvPagePositions);
  EXPECT_EQ(pool->n_used(), 1);
  cache.prepare(kKvPagePositions, 3 * kKvPagePositions + 1);
  EXPECT_EQ(pool->n_used(), 4);
  cache.clear();
  EXPECT_EQ(pool->n_used(), 0);
  EXPECT_EQ(cache.bytes_for(65), 2 * kShape.page_bytes());
}

TEST(KvCache, StoringCopiesOnlyPagesThatOthersHold) {
  const auto pool = make_pool();
  KvCache cache(pool, 1000);
  cache.prepare(0, 3 * kKvPagePositions);
  for (int page = 0; page < 3; ++page) mark(cache, page, 10 + page);
  const KvPages saved = cache.share(2 * kKvPagePositions + 5);
  ASSERT_EQ(saved.size(), 3U);
  cache.prepare(2 * kKvPagePositions + 5, 2 * kKvPagePositions + 6);
  EXPECT_EQ(cache.view(0).pages[0], saved[0].get());
  EXPECT_EQ(cache.view(0).pages[1], saved[1].get());
  EXPECT_NE(cache.view(0).pages[2], saved[2].get());
  EXPECT_EQ(mark_of(cache, 2), 12);  // what was there came along
  // Storing again costs nothing: the copy is the cache's own.
  const std::byte* own = cache.view(0).pages[2];
  cache.prepare(2 * kKvPagePositions + 6, 2 * kKvPagePositions + 7);
  EXPECT_EQ(cache.view(0).pages[2], own);
  EXPECT_EQ(pool->n_used(), 4);
}

TEST(KvCache, SequencesFromTheSamePagesDoNotHarmEachOther) {
  const auto pool = make_pool();
  KvCache first(pool, 1000);
  first.prepare(0, 70);
  mark(first, 0, 1);
  mark(first, 1, 2);
  const KvPages saved = first.share(70);
  KvCache second(pool, 1000);
  KvCache third(make_pool(), 1000);  // a pool of equal shape will do
  for (KvCache* cache : {&second, &third}) {
    cache->adopt(saved);
    cache->prepare(70, 71);
  }
  mark(second, 1, 3);
  mark(third, 1, 4);
  EXPECT_EQ(mark_of(first, 1), 2);
  EXPECT_EQ(mark_of(second, 1), 3);
  EXPECT_EQ(mark_of(third, 1), 4);
  EXPECT_EQ(mark_of(second, 0), 1);
  // The one that saved is no different: what it stores does not reach the saved page either.
  first.prepare(70, 71);
  mark(first, 1, 5);
  KvCache fourth(pool, 1000);
  fourth.adopt(saved);
  EXPECT_EQ(mark_of(fourth, 1), 2);
}

TEST(KvCache, PageWithoutAnythingToKeepIsReplacedWithoutACopy) {
  const auto pool = make_pool();
  KvCache cache(pool, 1000);
  cache.prepare(0, 2 * kKvPagePositions);
  const KvPages saved = cache.share(2 * kKvPagePositions);
  mark(cache, 1, 7);
  cache.prepare(kKvPagePositions, kKvPagePositions + 1);
  EXPECT_NE(cache.view(0).pages[1], saved[1].get());
  EXPECT_EQ(static_cast<int>(saved[1].get()[cache.view(1).key_offset]), 7);
}

}  // namespace
}  // namespace foretoken::cache
