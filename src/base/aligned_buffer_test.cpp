// Alignment, zeroes, moves, and refusal of sizes that no machine has.
#include "base/aligned_buffer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>

#include "base/error.h"

namespace foretoken {
namespace {

TEST(AlignedBuffer, StartsZeroedAndAligned) {
  for (const std::size_t count : {std::size_t{1}, std::size_t{17}, std::size_t{100'000}}) {
    const AlignedBuffer<float> buffer(count);
    ASSERT_EQ(buffer.size(), count);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % 64, 0U);
    EXPECT_TRUE(std::ranges::all_of(buffer.span(), [](float x) { return x == 0.0F; }));
  }
}

TEST(AlignedBuffer, EmptyHoldsNothing) {
  const AlignedBuffer<int> none;
  const AlignedBuffer<int> zero(0);
  EXPECT_EQ(none.size(), 0U);
  EXPECT_EQ(none.data(), nullptr);
  EXPECT_TRUE(zero.span().empty());
}

TEST(AlignedBuffer, MoveCarriesTheContents) {
  AlignedBuffer<int> first(10);
  first[3] = 7;
  const int* data = first.data();
  AlignedBuffer<int> second(std::move(first));
  EXPECT_EQ(second.data(), data);
  EXPECT_EQ(second.size(), 10U);
  AlignedBuffer<int> third(2);
  third = std::move(second);
  EXPECT_EQ(third.data(), data);
  EXPECT_EQ(third[3], 7);
  EXPECT_EQ(third.size(), 10U);
}

TEST(AlignedBuffer, MovedFromIsEmpty) {
  AlignedBuffer<int> first(10);
  const AlignedBuffer<int> second(std::move(first));
  // NOLINTNEXTLINE(bugprone-use-after-move,clang-analyzer-cplusplus.Move): the state after a move
  // is what is tested.
  EXPECT_TRUE(first.span().empty());
}

TEST(AlignedBuffer, GrowsOnlyWhenTooSmall) {
  AlignedBuffer<int> buffer(10);
  buffer[0] = 1;
  const int* data = buffer.data();
  buffer.grow_to(5);
  EXPECT_EQ(buffer.data(), data);
  EXPECT_EQ(buffer[0], 1);
  buffer.grow_to(100'000);
  EXPECT_EQ(buffer.size(), 100'000U);
  EXPECT_EQ(buffer[99'999], 0);
}

TEST(AlignedBuffer, DiscardMakesItZeroAgain) {
  AlignedBuffer<std::uint8_t> buffer(1 << 20);
  std::ranges::fill(buffer.span(), std::uint8_t{0xAB});
  buffer.discard();
  EXPECT_TRUE(std::ranges::all_of(buffer.span(), [](std::uint8_t x) { return x == 0; }));
  AlignedBuffer<int> none;
  none.discard();
}

TEST(AlignedBuffer, RefusesWhatNoMachineHas) {
  EXPECT_THROW(AlignedBuffer<char>(std::numeric_limits<std::size_t>::max() / 2), IoError);
}

TEST(AlignedBuffer, RefusesACountWhoseBytesWrapAround) {
  // 2^62 + 1 elements of four bytes are 4 bytes modulo 2^64.
  EXPECT_THROW(AlignedBuffer<float>((std::size_t{1} << 62) + 1), IoError);
}

}  // namespace
}  // namespace foretoken
