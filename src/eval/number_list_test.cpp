#include "eval/number_list.h"

#include <gtest/gtest.h>

#include <string>

#include "base/error.h"

namespace foretoken::eval {
namespace {

using Numbers = std::vector<int>;

Numbers parse(std::string_view text) {
  return parse_number_list(text, {.name = "-p", .least = 0, .most = 100000});
}

TEST(NumberList, TakesNumbersInOrderWithRepeats) {
  EXPECT_EQ(parse("512"), (Numbers{512}));
  EXPECT_EQ(parse("0,512,64,512"), (Numbers{0, 512, 64, 512}));
}

TEST(NumberList, ExpandsRangesIncludingBothEnds) {
  EXPECT_EQ(parse("1-4"), (Numbers{1, 2, 3, 4}));
  EXPECT_EQ(parse("0-32768+8192"), (Numbers{0, 8192, 16384, 24576, 32768}));
  EXPECT_EQ(parse("1-16*2"), (Numbers{1, 2, 4, 8, 16}));
  EXPECT_EQ(parse("7-7"), (Numbers{7}));
  EXPECT_EQ(parse("1,3-5,9-20+5"), (Numbers{1, 3, 4, 5, 9, 14, 19}));
}

TEST(NumberList, LeavesOutALastNumberThatTheStepMisses) {
  EXPECT_EQ(parse("1-10+4"), (Numbers{1, 5, 9}));
  EXPECT_EQ(parse("3-20*2"), (Numbers{3, 6, 12}));
}

TEST(NumberList, RefusesWhatIsMalformedAndNamesIt) {
  for (const std::string bad :
       {"", ",", "1,", "a", "-1", "1-", "4-1", "1-4+", "1-4+0", "1-4*1", "0-4*2", "1-4x", "1.5",
        " 1", "1-4-6", "99999999999999999999", "1-4+99999999999999999999"}) {
    try {
      parse(bad);
      ADD_FAILURE() << "accepted '" << bad << "'";
    } catch (const RequestError& error) {
      EXPECT_TRUE(std::string(error.what()).starts_with("-p: ")) << error.what();
    }
  }
}

TEST(NumberList, RefusesNumbersOutOfRange) {
  EXPECT_THROW(parse("100001"), RequestError);
  EXPECT_THROW(parse("1-100001+50000"), RequestError);
  EXPECT_THROW(parse_number_list("0", {.name = "-r", .least = 1, .most = 9}), RequestError);
}

TEST(NumberList, StopsBeforeAListGetsLong) { EXPECT_THROW(parse("0-100000"), RequestError); }

TEST(NumberList, HugeStepsEndARange) {
  EXPECT_EQ(parse("5-10+9223372036854775807"), (Numbers{5}));
  EXPECT_EQ(parse("5-10*9223372036854775807"), (Numbers{5}));
}

}  // namespace
}  // namespace foretoken::eval
