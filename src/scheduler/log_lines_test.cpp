// The fragments that scripts search for, with the numbers of a real run of llama-server.
#include "scheduler/log_lines.h"

#include <gtest/gtest.h>

namespace foretoken::scheduler {
namespace {

Timings example() {
  Timings out;
  out.prompt_n = 50;
  out.prompt_ms = 100.0;
  out.predicted_n = 11;
  out.predicted_ms = 500.0;
  out.draft_n = 259;
  out.draft_n_accepted = 167;
  out.draft_rounds = 87;
  out.drafted_at = {87, 86, 86};
  out.accepted_at = {70, 55, 42};
  return out;
}

TEST(LogLines, NameTimesTokensAndRates) {
  EXPECT_EQ(prompt_time_line(example()),
            "prompt eval time =     100.00 ms /    50 tokens (    2.00 ms per token,   500.00 "
            "tokens per second)");
  // Ten steps made the tokens behind the first.
  EXPECT_EQ(eval_time_line(example()),
            "eval time =     500.00 ms /    11 tokens (   50.00 ms per token,    20.00 tokens per "
            "second)");
  EXPECT_EQ(total_time_line(example()), "total time =     600.00 ms /    61 tokens");
}

TEST(LogLines, TheShareFollowsDraftAcceptanceAtOnce) {
  EXPECT_EQ(draft_line(example()),
            "draft acceptance = 0.64479 (  167 accepted /   259 generated), mean len =  2.92");
  EXPECT_EQ(positions_line(example()), "acc per pos = (0.805, 0.632, 0.483)");
}

TEST(LogLines, TellProgress) {
  EXPECT_EQ(progress_line(120, 24.5, 30.0), "n_gen =    120, tg =  24.50 t/s, tg_3s =  30.00 t/s");
  EXPECT_EQ(prompt_progress_line(2048, 0.25, 4.0, 512.0),
            "prompt processing, n_tokens =   2048, progress = 0.25, t =   4.00 s / 512.00 tokens "
            "per second");
}

TEST(LogLines, NothingDividesByZero) {
  const Timings nothing;
  EXPECT_EQ(prompt_time_line(nothing).find("nan"), std::string::npos);
  EXPECT_EQ(eval_time_line(nothing).find("inf"), std::string::npos);
  EXPECT_EQ(positions_line(nothing), "acc per pos = ()");
}

}  // namespace
}  // namespace foretoken::scheduler
