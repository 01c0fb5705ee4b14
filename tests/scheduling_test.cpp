// The scheduler with the tiny model: who else is served, what was drafted and where a prompt came
// from never change a text, and what was processed once is not processed again.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <future>
#include <limits>
#include <random>
#include <thread>

#include "base/error.h"
#include "scheduler/scheduler.h"
#include "scheduler_fixture.h"

namespace foretoken {
namespace {

using scheduler::Finish;
using scheduler::FinishReason;
using scheduler::Refusal;
using scheduler::Request;
using scheduler::RequestId;
using scheduler::Scheduler;
using scheduler::SlotAction;
using scheduler::SlotActionResult;
using testing::act;
using testing::answer;
using testing::answer_drafted;
using testing::Recorder;
using testing::request_for;
using testing::shared_engine;
using testing::small_options;
using testing::submitted;
using testing::task_prompts;
using testing::text_alone;

constexpr int kTokens = kSanitized ? 10 : 32;
constexpr std::size_t kPrompts = kSanitized ? 4 : 12;

// ---- The text. ----

TEST(Scheduling, TextIsTheEnginesAloneAndInABatchWithAndWithoutDrafts) {
  engine::Engine& engine = shared_engine();
  const auto prompts = task_prompts(kPrompts);
  for (const int n_slots : {1, 4}) {
    Scheduler service(engine, small_options(n_slots));
    std::vector<std::shared_ptr<Recorder>> recorders;
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      for (const int n_draft : {0, 3}) {
        auto recorder = std::make_shared<Recorder>();
        Request request = request_for(prompts[i], kTokens, recorder, n_draft);
        request.speculation.adaptive = i % 2 == 0;  // a busy machine may park the others
        submitted(service, std::move(request));
        recorders.push_back(recorder);
      }
    }
    int n_accepted = 0;
    for (std::size_t i = 0; i < recorders.size(); ++i) {
      const Finish finish = recorders[i]->wait();
      const auto expected = text_alone(prompts[i / 2], kTokens);
      EXPECT_EQ(recorders[i]->ids(), expected) << "prompt " << i / 2 << " slots " << n_slots;
      EXPECT_EQ(finish.timings.predicted_n, static_cast<int>(expected.size()));
      EXPECT_EQ(finish.error, "");
      n_accepted += finish.timings.draft_n_accepted;
    }
    EXPECT_GT(n_accepted, 10) << "drafts must have been kept for this to mean anything";
  }
}

TEST(Scheduling, DepthOfDraftsChangesNothing) {
  engine::Engine& engine = shared_engine();
  const auto prompts = task_prompts(kSanitized ? 2 : 5);
  auto options = small_options(2);
  options.speculation = testing::drafts(8);
  options.column_budget = 18;
  Scheduler service(engine, options);
  for (const auto& prompt : prompts) {
    const auto expected = text_alone(prompt, kTokens);
    for (int depth = 1; depth <= 8; depth += kSanitized ? 4 : 1) {
      auto recorder = std::make_shared<Recorder>();
      Request request = request_for(prompt, kTokens, recorder, depth);
      request.speculation.adaptive = false;
      submitted(service, std::move(request));
      recorder->wait();
      EXPECT_EQ(recorder->ids(), expected) << depth;
    }
  }
}

TEST(Scheduling, ASeedGivesOneTextWhateverIsDraftedAndWhoeverElseIsServed) {
  engine::Engine& engine = shared_engine();
  const std::vector<TokenId> noise = {900, 301, 1200, 450, 777, 1500};  // many ways to go on
  Scheduler alone(engine, small_options(1));
  const auto sampled = [&](Scheduler& service, int n_draft, std::uint32_t seed) {
    auto recorder = std::make_shared<Recorder>();
    Request request = request_for(noise, kTokens, recorder, n_draft);
    request.sampling = {};
    request.sampling.temperature = 1.2F;
    request.sampling.seed = seed;
    submitted(service, std::move(request));
    return recorder;
  };
  int n_different = 0;
  std::vector<std::vector<TokenId>> expected;
  for (std::uint32_t seed = 0; seed < 4; ++seed) {
    const auto plain = sampled(alone, 0, seed);
    plain->wait();
    const auto drafted = sampled(alone, 3, seed);
    drafted->wait();
    EXPECT_EQ(plain->ids(), drafted->ids()) << seed;
    if (seed > 0 && plain->ids() != expected.front()) ++n_different;
    expected.push_back(plain->ids());
  }
  EXPECT_GT(n_different, 0);
  alone.drain(std::chrono::steady_clock::now());
  Scheduler together(engine, small_options(4));
  std::vector<std::shared_ptr<Recorder>> recorders;
  for (std::uint32_t seed = 0; seed < 4; ++seed) recorders.push_back(sampled(together, 3, seed));
  for (std::size_t seed = 0; seed < 4; ++seed) {
    recorders[seed]->wait();
    EXPECT_EQ(recorders[seed]->ids(), expected[seed]) << seed;
  }
}

// ---- The prefix cache. ----

TEST(Scheduling, ARepeatedPromptIsReadFromTheCacheButForItsLastToken) {
  engine::Engine& engine = shared_engine();
  Scheduler service(engine, small_options(2));
  const auto prompt = task_prompts(2)[1];
  const auto first = answer(service, prompt, kTokens);
  EXPECT_EQ(first->n_cached(), 0);
  const auto again = answer(service, prompt, kTokens);
  EXPECT_EQ(again->n_cached(), static_cast<int>(prompt.size()) - 1);
  EXPECT_EQ(again->ids(), first->ids());
  EXPECT_EQ(again->wait().timings.prompt_n, 1);
  auto recorder = std::make_shared<Recorder>();
  Request request = request_for(prompt, kTokens, recorder);
  request.cache_prompt = false;
  submitted(service, std::move(request));
  EXPECT_EQ(recorder->wait().timings.cache_n, 0);
  EXPECT_EQ(recorder->ids(), first->ids());
}

TEST(Scheduling, CuttingATranscriptAtAnyTurnReadsOnlyThatTurn) {
  // Twenty turns of made-up text; each prompt is the transcript so far.
  engine::Engine& engine = shared_engine();
  auto options = small_options(2);
  options.n_context = 2048;
  const TokenId opens = *engine.tokenizer().find_special("<|im_start|>");
  Scheduler service(engine, options);
  std::mt19937 random(5);
  std::vector<TokenId> transcript;
  std::vector<std::size_t> turns;
  const int n_turns = kSanitized ? 6 : 20;
  for (int turn = 0; turn < n_turns; ++turn) {
    turns.push_back(transcript.size());
    transcript.push_back(opens);
    const auto length = 10 + random() % 50;
    for (std::size_t i = 0; i < length; ++i) {
      transcript.push_back(static_cast<TokenId>(300 + random() % 1000));
    }
    const auto recorder = answer(service, transcript, 2);
    EXPECT_GE(recorder->n_cached() + 1, static_cast<int>(turns.back())) << "turn " << turn;
    answer(service, {transcript.begin() + 5, transcript.begin() + 9}, 2);  // a side request
  }
  for (int turn = 1; turn < n_turns; ++turn) {
    const auto cut = turns[static_cast<std::size_t>(turn)];
    std::vector<TokenId> edited(transcript.begin(),
                                transcript.begin() + static_cast<std::ptrdiff_t>(cut));
    edited.insert(edited.end(), {opens, 7, 8, 9});
    const auto recorder = answer(service, edited, 2);
    EXPECT_EQ(recorder->n_cached(), static_cast<int>(cut)) << "turn " << turn;
    EXPECT_EQ(recorder->ids(), text_alone(edited, 2));
  }
}

TEST(Scheduling, AReplyIsThereForTheNextTurn) {
  engine::Engine& engine = shared_engine();
  Scheduler service(engine, small_options(1));
  auto prompt = task_prompts(1)[0];
  const auto first = answer(service, prompt, 8);
  const auto reply = first->ids();
  prompt.insert(prompt.end(), reply.begin(), reply.end());
  prompt.insert(prompt.end(), {300, 301, 302});
  const auto next = answer(service, prompt, 8);
  EXPECT_GE(next->n_cached(), static_cast<int>(prompt.size()) - 4);
  EXPECT_EQ(next->ids(), text_alone(prompt, 8));
}

TEST(Scheduling, SiblingsThatWaitForOneReadNothingAgain) {
  engine::Engine& engine = shared_engine();
  Scheduler service(engine, small_options(4));
  const auto prompt = task_prompts(3)[2];
  std::vector<std::shared_ptr<Recorder>> recorders;
  std::optional<RequestId> first;
  for (int i = 0; i < 4; ++i) {
    recorders.push_back(std::make_shared<Recorder>());
    Request request = request_for(prompt, kTokens, recorders.back());
    request.sampling = {};
    request.sampling.seed = static_cast<std::uint32_t>(7 + i);
    request.after = first;
    const RequestId id = submitted(service, std::move(request));
    if (!first) first = id;
  }
  for (int i = 0; i < 4; ++i) {
    const Finish finish = recorders[static_cast<std::size_t>(i)]->wait();
    if (i > 0) {
      EXPECT_EQ(finish.timings.prompt_n, 1);
    }
  }
}

// ---- Slots. ----

TEST(Scheduling, SlotFilesCarryASequenceIntoAnotherScheduler) {
  engine::Engine& engine = shared_engine();
  const std::string path = ::testing::TempDir() + "scheduler_slot.bin";
  auto prompt = task_prompts(3)[1];
  std::size_t n_saved = 0;
  {
    Scheduler service(engine, small_options(2));
    auto recorder = std::make_shared<Recorder>();
    Request request = request_for(prompt, 8, recorder);
    request.id_slot = 1;
    submitted(service, std::move(request));
    EXPECT_EQ(recorder->wait().slot, 1);
    const auto empty = act(service, {SlotAction::Kind::Save, 0, path});
    EXPECT_NE(empty.error, "");
    EXPECT_TRUE(empty.bad_request);
    const auto saved = act(service, {SlotAction::Kind::Save, 1, path});
    ASSERT_EQ(saved.error, "");
    EXPECT_GE(saved.n_tokens, prompt.size());
    EXPECT_EQ(saved.n_bytes, std::filesystem::file_size(path));
    n_saved = saved.n_tokens;
    prompt = {prompt.begin(), prompt.end()};
    for (const TokenId id : recorder->ids()) prompt.push_back(id);
  }
  prompt.insert(prompt.end(), {300, 301});
  Scheduler service(engine, small_options(2));
  const auto restored = act(service, {SlotAction::Kind::Restore, 0, path});
  ASSERT_EQ(restored.error, "");
  EXPECT_EQ(restored.n_tokens, n_saved);
  EXPECT_EQ(restored.n_reusable, n_saved);
  const auto next = answer_drafted(service, prompt, kTokens);
  EXPECT_EQ(next->n_cached(), static_cast<int>(n_saved));
  EXPECT_EQ(next->slot(), 0);
  EXPECT_EQ(next->ids(), text_alone(prompt, kTokens));
  EXPECT_GT(next->wait().timings.draft_n, 0);

  const auto erased = act(service, {SlotAction::Kind::Erase, 0, ""});
  EXPECT_GT(erased.n_tokens, 0U);
  EXPECT_EQ(answer(service, prompt, 2)->n_cached(), 0);
  std::filesystem::resize_file(path, 100);
  const auto bad = act(service, {SlotAction::Kind::Restore, 0, path});
  EXPECT_NE(bad.error, "");
  EXPECT_TRUE(bad.bad_request);
  const auto missing = act(service, {SlotAction::Kind::Restore, 0, path + ".none"});
  EXPECT_NE(missing.error, "");
  EXPECT_TRUE(missing.bad_request);
  EXPECT_NE(act(service, {SlotAction::Kind::Save, 9, path}).error, "");
  std::filesystem::remove(path);
}

TEST(Scheduling, TheStateDirectorySurvivesARestartAndADamagedFileIsIgnored) {
  engine::Engine& engine = shared_engine();
  const auto folder = std::filesystem::path(::testing::TempDir()) / "scheduler_state";
  std::filesystem::remove_all(folder);
  auto options = small_options(1);
  options.state_directory = folder.string();
  std::string warnings;
  options.log = [&](LogLevel level, std::string_view line) {
    if (level == LogLevel::Warning) warnings += line;
  };
  const auto prompt = task_prompts(2)[1];
  const int n_reused = static_cast<int>(prompt.size()) - 1;
  { answer(*std::make_unique<Scheduler>(engine, options), prompt, 4); }
  {
    Scheduler service(engine, options);
    EXPECT_EQ(answer(service, prompt, 4)->n_cached(), n_reused);
    EXPECT_TRUE(service.drain(std::chrono::steady_clock::now() + std::chrono::seconds(100)));
  }
  EXPECT_EQ(warnings, "");
  EXPECT_EQ(std::filesystem::status(folder).permissions(), std::filesystem::perms::owner_all);
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::filesystem::resize_file(entry.path(), std::filesystem::file_size(entry.path()) / 2);
  }
  Scheduler service(engine, options);
  EXPECT_NE(warnings, "");
  EXPECT_EQ(answer(service, prompt, 4)->n_cached(), 0);
  service.drain(std::chrono::steady_clock::now());
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace foretoken
