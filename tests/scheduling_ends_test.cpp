// The scheduler with the tiny model: every request gets its turn, ends once, for the right reason
// and without harming another, and is accounted for.
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

// ---- Order and bounds. ----

TEST(SchedulingEnds, ClientsTakeTurnsAndTheQueueHasABound) {
  engine::Engine& engine = shared_engine();
  auto options = small_options(1);
  options.max_queue = 6;
  Scheduler service(engine, options);
  std::mutex mutex;
  std::vector<std::string> order;
  const auto make = [&](const std::string& client) {
    auto recorder = std::make_shared<Recorder>();
    Request request = request_for({300, 301, 302}, 1, recorder);
    request.client = client;
    recorder->hook = [&, client](const scheduler::TokenEvent&) {
      const std::lock_guard lock(mutex);
      order.push_back(client);
      return true;
    };
    return std::pair(std::move(request), recorder);
  };
  // The first request holds the slot until the others are queued.
  std::promise<void> gate;
  auto [blocker, blocking] = make("first");
  blocking->hook = [future = gate.get_future().share()](const scheduler::TokenEvent&) {
    future.wait();
    return true;
  };
  submitted(service, std::move(blocker));
  blocking->wait_for_tokens(1);
  std::vector<std::shared_ptr<Recorder>> recorders;
  for (const char* client : {"many", "many", "many", "many", "few", "few"}) {
    auto [request, recorder] = make(client);
    submitted(service, std::move(request));
    recorders.push_back(recorder);
  }
  EXPECT_EQ(service.metrics().requests_deferred, 6);
  auto [surplus, unheard] = make("late");
  EXPECT_EQ(std::get<Refusal>(service.submit(std::move(surplus))), Refusal::QueueFull);
  gate.set_value();
  for (const auto& recorder : recorders) recorder->wait();
  EXPECT_EQ(order, (std::vector<std::string>{"many", "few", "many", "few", "many", "many"}));
  EXPECT_EQ(unheard->n_finishes(), 0);
}

TEST(SchedulingEnds, AnActionOnABusySlotIsDoneWhenTheSlotIsFree) {
  // Nothing else may be needed to wake the worker up for it.
  Scheduler service(shared_engine(), small_options(1));
  const auto recorder = std::make_shared<Recorder>();
  submitted(service, request_for(task_prompts(1)[0], kTokens, recorder));
  recorder->wait_for_start();
  const auto result = act(service, {SlotAction::Kind::Erase, 0, ""});
  EXPECT_EQ(result.error, "");
  EXPECT_GE(result.n_tokens, task_prompts(1)[0].size() + recorder->ids().size() - 1);
}

TEST(SchedulingEnds, ALongPromptDoesNotHoldUpARunningReply) {
  auto options = small_options(2);
  options.n_batch = 512;
  options.target_inter_token_ms = 0.001;  // stretches as long as a step of decoding
  Scheduler service(shared_engine(), options);
  auto running = std::make_shared<Recorder>();
  Request endless = request_for({300, 301, 302}, 900, running, 0);
  for (TokenId id = 0; id < shared_engine().tokenizer().n_vocab(); ++id) {
    if (!shared_engine().tokenizer().is_end_of_generation(id)) continue;
    endless.sampling.logit_bias.push_back({id, -std::numeric_limits<float>::infinity()});
  }
  const RequestId id = submitted(service, std::move(endless));
  running->wait_for_tokens(5);
  std::vector<TokenId> prompt(900);
  for (std::size_t i = 0; i < prompt.size(); ++i) prompt[i] = static_cast<TokenId>(300 + i % 700);
  auto reading = std::make_shared<Recorder>();
  Request request = request_for(prompt, 1, reading);
  request.want_progress = true;
  submitted(service, std::move(request));
  reading->wait_for_start();
  const std::size_t n_before = running->tokens().size();
  EXPECT_EQ(reading->wait().reason, FinishReason::Length);
  const std::size_t n_meanwhile = running->tokens().size() - n_before;
  EXPECT_GT(reading->progress().size(), 4U);
  EXPECT_GE(n_meanwhile + 3, reading->progress().size());
  service.cancel(id);
  running->wait();
}

TEST(SchedulingEnds, RefusesRequestsOutOfRange) {
  engine::Engine& engine = shared_engine();
  Scheduler service(engine, small_options(1));
  const auto refusal = [&](const std::function<void(Request&)>& change) -> std::string {
    Request request = request_for({300, 301}, 1, std::make_shared<Recorder>());
    change(request);
    try {
      static_cast<void>(service.submit(std::move(request)));
    } catch (const RequestError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_NE(refusal([](Request& r) { r.prompt.clear(); }), "");
  EXPECT_NE(refusal([](Request& r) { r.prompt.assign(1024, 300); }).find("1024 tokens"),
            std::string::npos);
  EXPECT_NE(refusal([](Request& r) { r.prompt = {-1}; }), "");
  EXPECT_NE(refusal([](Request& r) { r.prompt = {1 << 30}; }), "");
  EXPECT_NE(refusal([](Request& r) { r.id_slot = 1; }), "");
  EXPECT_NE(refusal([](Request& r) { r.id_slot = -2; }), "");
  EXPECT_NE(refusal([](Request& r) { r.n_probs = -1; }), "");
  EXPECT_NE(refusal([](Request& r) { r.sampling.top_p = 7.0F; }), "");
  EXPECT_NE(refusal([](Request& r) { r.speculation.limits.n_max = 99; }), "");
  EXPECT_NE(refusal([](Request& r) { r.listener = nullptr; }), "");
  EXPECT_EQ(refusal([](Request&) {}), "");
  auto bad = small_options(0);
  EXPECT_THROW(Scheduler(engine, bad), RequestError);
}

// ---- Ends. ----

TEST(SchedulingEnds, EndsForTheReasonThatCameFirst) {
  engine::Engine& engine = shared_engine();
  auto options = small_options(1);
  const auto prompt = task_prompts(2)[1];
  Scheduler service(engine, options);
  const auto whole = answer(service, prompt, -1);
  EXPECT_EQ(whole->wait().reason, FinishReason::EndOfText);
  EXPECT_TRUE(engine.tokenizer().is_end_of_generation(whole->ids().back()));

  const auto none = answer(service, prompt, 0);
  EXPECT_EQ(none->wait().reason, FinishReason::Length);
  EXPECT_EQ(none->ids().size(), 0U);
  EXPECT_EQ(answer(service, prompt, 3)->ids().size(), 3U);
  EXPECT_EQ(answer(service, prompt, 1)->ids().size(), 1U);

  options.n_context = static_cast<int>(prompt.size()) + 4;
  service.drain(std::chrono::steady_clock::now());
  Scheduler tight(engine, options);
  auto recorder = std::make_shared<Recorder>();
  Request request = request_for(prompt, -1, recorder);
  request.sampling.logit_bias = {};
  for (TokenId id = 0; id < engine.tokenizer().n_vocab(); ++id) {
    if (!engine.tokenizer().is_end_of_generation(id)) continue;
    request.sampling.logit_bias.push_back({id, -std::numeric_limits<float>::infinity()});
  }
  submitted(tight, std::move(request));
  EXPECT_EQ(recorder->wait().reason, FinishReason::ContextFull);
  EXPECT_EQ(recorder->ids().size(), 4U);
}

TEST(SchedulingEnds, ATimeLimitCutsAtALinesEnd) {
  engine::Engine& engine = shared_engine();
  Scheduler service(engine, small_options(1));
  int n_cut = 0;
  for (const auto& prompt : task_prompts(12)) {
    if (n_cut >= 4) break;
    const auto expected = text_alone(prompt, 32);
    const auto ends_line = [&](TokenId id) {
      return engine.tokenizer().piece(id).find('\n') != std::string_view::npos;
    };
    const auto line = std::find_if(expected.begin(), expected.end(), ends_line);
    if (line == expected.end()) continue;
    auto recorder = std::make_shared<Recorder>();
    Request request = request_for(prompt, -1, recorder);
    request.max_predict_ms = 1e-6;
    submitted(service, std::move(request));
    EXPECT_EQ(recorder->wait().reason, FinishReason::Length);
    EXPECT_EQ(recorder->ids(), std::vector<TokenId>(expected.begin(), line + 1));
    ++n_cut;
  }
  EXPECT_GT(n_cut, 0);
}

TEST(SchedulingEnds, StatusShowsWhatHappened) {
  auto options = small_options(2);
  options.slots_debug = true;
  Scheduler service(shared_engine(), options);
  EXPECT_EQ(service.n_slots(), 2);
  EXPECT_EQ(service.slot_context(), 1024);
  EXPECT_EQ(service.speculation().kind, "draft-mtp");
  EXPECT_EQ(service.speculation().n_max, 3);
  EXPECT_TRUE(service.speculation().mtp_present);
  const auto prompt = task_prompts(1)[0];
  auto recorder = std::make_shared<Recorder>();
  Request request = request_for(prompt, kTokens, recorder);
  request.speculation.adaptive = false;
  request.description = "{}";
  request.id_slot = 1;
  std::string description;
  recorder->hook = [&](const scheduler::TokenEvent&) {
    description = service.slots()[1].description;
    return true;
  };
  const RequestId id = submitted(service, std::move(request));
  recorder->wait();
  EXPECT_EQ(description, "{}");
  answer_drafted(service, prompt, kTokens);
  // The slot is let go a moment after its listener heard of the end.
  service.drain(std::chrono::steady_clock::now() + std::chrono::seconds(200));
  const auto slots = service.slots();
  ASSERT_EQ(slots.size(), 2U);
  EXPECT_EQ(slots[1].id, 1);
  EXPECT_FALSE(slots[1].is_processing);
  EXPECT_EQ(slots[1].request, id + 1);  // where the conversation already was
  EXPECT_EQ(slots[1].description, "");
  EXPECT_EQ(slots[1].prompt, prompt);
  EXPECT_EQ(slots[1].generated, recorder->ids());
  EXPECT_EQ(slots[1].n_decoded, static_cast<int>(recorder->ids().size()));
  const auto metrics = service.metrics();
  EXPECT_EQ(metrics.prompt_tokens, prompt.size() + 1);
  EXPECT_EQ(metrics.prompt_tokens_cached, prompt.size() - 1);
  EXPECT_EQ(metrics.predicted_tokens, 2 * recorder->ids().size());
  EXPECT_EQ(metrics.prefix_misses.at("cold"), 1U);
  EXPECT_EQ(metrics.prefix_hits, 1U);
  EXPECT_EQ(metrics.recent_ttft_seconds.size(), 2U);
  EXPECT_GT(metrics.n_checkpoints, 0);
  EXPECT_GT(metrics.checkpoint_bytes, 0U);
  EXPECT_EQ(metrics.requests_processing, 0);
  EXPECT_GT(metrics.depth_rounds[3], 0U);
  const auto speculation = service.speculation();
  EXPECT_FALSE(speculation.acceptance_at.empty());
  EXPECT_EQ(speculation.verify_seconds_width.size(), 18U);
  EXPECT_GT(speculation.draft_step_seconds, 0.0);
}

TEST(SchedulingEnds, AStopInsideAnAcceptedRunKeepsNothingBehindIt) {
  engine::Engine& engine = shared_engine();
  Scheduler service(engine, small_options(1));
  const auto prompt = task_prompts(1)[0];
  const auto expected = text_alone(prompt, 24);
  int n_inside = 0;
  for (std::size_t stop = 1; stop < expected.size(); stop += kSanitized ? 5 : 1) {
    auto recorder = std::make_shared<Recorder>();
    std::size_t n = 0;
    recorder->hook = [&](const scheduler::TokenEvent&) { return ++n < stop; };
    Request request = request_for(prompt, 24, recorder);
    request.speculation.adaptive = false;
    submitted(service, std::move(request));
    const Finish finish = recorder->wait();
    EXPECT_EQ(finish.reason, FinishReason::StopWord);
    EXPECT_EQ(recorder->ids(),
              std::vector<TokenId>(expected.begin(),
                                   expected.begin() + static_cast<std::ptrdiff_t>(stop)));
    EXPECT_EQ(finish.n_past, static_cast<int>(prompt.size() + stop) - 1);
    EXPECT_EQ(finish.timings.predicted_n, static_cast<int>(stop));
    n_inside += recorder->tokens().back().from_draft ? 1 : 0;
    // The state that was kept ends there: the text goes on as if it had never been cut.
    std::vector<TokenId> next = prompt;
    next.insert(next.end(), expected.begin(), expected.begin() + static_cast<std::ptrdiff_t>(stop));
    const auto after = answer(service, next, 4);
    EXPECT_EQ(after->n_cached(), finish.n_past);
    EXPECT_EQ(after->ids(), text_alone(next, 4));
  }
  EXPECT_GT(n_inside, 0);
}

TEST(SchedulingEnds, TimingsCountAtTheVeryToken) {
  engine::Engine& engine = shared_engine();
  Scheduler service(engine, small_options(1));
  int n_drafted = 0;
  for (const auto& prompt : task_prompts(kSanitized ? 2 : 6)) {
    const auto recorder = answer_drafted(service, prompt, kTokens);
    int accepted = 0;
    int predicted = 0;
    for (const Recorder::Token& token : recorder->tokens()) {
      accepted += token.from_draft ? 1 : 0;
      EXPECT_EQ(token.timings.draft_n_accepted, accepted);
      EXPECT_EQ(token.timings.predicted_n, ++predicted);
      EXPECT_GE(token.timings.draft_n, accepted);
    }
    const auto timings = recorder->wait().timings;
    EXPECT_EQ(timings.prompt_n + timings.cache_n, static_cast<int>(prompt.size()));
    int drafted_at = 0;
    int accepted_at = 0;
    for (std::size_t i = 0; i < timings.drafted_at.size(); ++i) {
      drafted_at += timings.drafted_at[i];
      accepted_at += timings.accepted_at[i];
    }
    EXPECT_EQ(drafted_at, timings.draft_n);
    EXPECT_EQ(accepted_at, timings.draft_n_accepted);
    n_drafted += timings.draft_n;
  }
  EXPECT_GT(n_drafted, 0);
  const auto metrics = service.metrics();
  EXPECT_EQ(metrics.draft_tokens, static_cast<std::uint64_t>(n_drafted));
  EXPECT_GT(metrics.recent_inter_token_seconds.size(), 0U);
  EXPECT_EQ(service.metrics().recent_ttft_seconds.size(), 0U);
}

TEST(SchedulingEnds, ProgressRisesFromTheCachedToTheTotal) {
  engine::Engine& engine = shared_engine();
  auto options = small_options(1);
  options.n_batch = 16;
  Scheduler service(engine, options);
  std::vector<TokenId> prompt(100);
  for (std::size_t i = 0; i < prompt.size(); ++i) prompt[i] = static_cast<TokenId>(300 + i);
  for (int round = 0; round < 2; ++round) {
    auto recorder = std::make_shared<Recorder>();
    Request request = request_for(prompt, 1, recorder);
    request.want_progress = true;
    submitted(service, std::move(request));
    recorder->wait();
    const auto progress = recorder->progress();
    ASSERT_GE(progress.size(), 2U);
    EXPECT_EQ(progress.front(), recorder->n_cached());
    EXPECT_EQ(progress.back(), 100);
    EXPECT_TRUE(std::is_sorted(progress.begin(), progress.end()));
    EXPECT_EQ(progress.size(), round == 0 ? 8U : 2U);
  }
}

TEST(SchedulingEnds, LogProbabilitiesAreTrueForAcceptedDraftsToo) {
  engine::Engine& engine = shared_engine();
  Scheduler service(engine, small_options(2));
  int n_from_draft = 0;
  for (const auto& prompt : task_prompts(kSanitized ? 2 : 5)) {
    for (const bool post : {false, true}) {
      std::vector<std::vector<Recorder::Token>> runs;
      for (const int n_draft : {0, 3}) {
        auto recorder = std::make_shared<Recorder>();
        Request request = request_for(prompt, kTokens, recorder, n_draft);
        request.sampling = {};
        request.sampling.seed = 3;
        request.speculation.adaptive = false;
        request.n_probs = 5;
        request.post_sampling_probs = post;
        submitted(service, std::move(request));
        recorder->wait();
        runs.push_back(recorder->tokens());
      }
      ASSERT_EQ(runs[0].size(), runs[1].size());
      for (std::size_t i = 0; i < runs[0].size(); ++i) {
        n_from_draft += runs[1][i].from_draft ? 1 : 0;
        EXPECT_NEAR(runs[0][i].logprob, runs[1][i].logprob, 1e-3);
        EXPECT_LE(runs[1][i].logprob, 1e-6F);
        ASSERT_EQ(runs[0][i].top.size(), runs[1][i].top.size());
        if (!post) {
          ASSERT_EQ(runs[1][i].top.size(), 5U);
        }
        for (std::size_t k = 0; k < runs[0][i].top.size(); ++k) {
          EXPECT_EQ(runs[0][i].top[k].token, runs[1][i].top[k].token);
          EXPECT_NEAR(runs[0][i].top[k].logprob, runs[1][i].top[k].logprob, 1e-3);
          EXPECT_GE(runs[1][i].top[k].logprob, std::numeric_limits<float>::lowest());
        }
      }
    }
  }
  EXPECT_GT(n_from_draft, 0);
}

// ---- Cancels. ----

TEST(SchedulingEnds, CancelsAtRandomMomentsHarmNobodyElse) {
  engine::Engine& engine = shared_engine();
  auto options = small_options(4);
  options.n_batch = 8;  // prompts take several passes, so that cancels fall into them
  Scheduler service(engine, options);
  const auto prompts = task_prompts(4);
  std::vector<std::vector<TokenId>> expected;
  for (const auto& prompt : prompts) expected.push_back(text_alone(prompt, kTokens));
  std::atomic<bool> over{false};
  std::thread disturber([&] {
    std::mt19937 random(11);
    std::vector<std::shared_ptr<Recorder>> doomed;
    while (!over) {
      doomed.push_back(std::make_shared<Recorder>());
      std::vector<TokenId> prompt(5 + random() % 60);
      for (TokenId& id : prompt) id = static_cast<TokenId>(300 + random() % 1000);
      Request request = request_for(prompt, 50, doomed.back());
      request.client = "disturber";
      const RequestId id = submitted(service, std::move(request));
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 20000));
      service.cancel(id);
      service.cancel(id + 1000000);
    }
    for (const auto& recorder : doomed) {
      recorder->wait();
      EXPECT_EQ(recorder->n_finishes(), 1);
    }
  });
  for (int round = 0; round < (kSanitized ? 2 : 12); ++round) {
    std::vector<std::shared_ptr<Recorder>> recorders;
    for (const auto& prompt : prompts) {
      recorders.push_back(std::make_shared<Recorder>());
      Request request = request_for(prompt, kTokens, recorders.back());
      request.client = "steady";
      request.cache_prompt = round % 2 == 0;
      submitted(service, std::move(request));
    }
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      recorders[i]->wait();
      EXPECT_EQ(recorders[i]->ids(), expected[i]);
    }
  }
  over = true;
  disturber.join();
  for (const auto& slot : service.slots()) EXPECT_FALSE(slot.is_processing);
}

TEST(SchedulingEnds, WhatACancelledPromptReadIsKept) {
  engine::Engine& engine = shared_engine();
  auto options = small_options(1);
  options.n_batch = 16;
  Scheduler service(engine, options);
  std::vector<TokenId> prompt(900);
  for (std::size_t i = 0; i < prompt.size(); ++i) prompt[i] = static_cast<TokenId>(300 + i % 700);
  auto recorder = std::make_shared<Recorder>();
  const RequestId id = submitted(service, request_for(prompt, 5, recorder));
  recorder->wait_for_start();
  while (service.slots()[0].n_prompt_processed < 100) std::this_thread::yield();
  service.cancel(id);
  const Finish finish = recorder->wait();
  EXPECT_EQ(finish.reason, FinishReason::Cancelled);
  EXPECT_LT(finish.n_past, 900);
  const auto again = answer(service, prompt, 5);
  EXPECT_EQ(again->n_cached(), finish.n_past);
  EXPECT_EQ(again->ids(), text_alone(prompt, 5));
}

TEST(SchedulingEnds, DrainFinishesWhatItCanAndCancelsTheRest) {
  engine::Engine& engine = shared_engine();
  Scheduler service(engine, small_options(1));
  auto quick = std::make_shared<Recorder>();
  submitted(service, request_for({300, 301}, 2, quick));
  EXPECT_TRUE(service.drain(std::chrono::steady_clock::now() + std::chrono::seconds(200)));
  EXPECT_EQ(quick->n_finishes(), 1);
  EXPECT_EQ(std::get<Refusal>(service.submit(request_for({300}, 1, quick))), Refusal::Stopping);
  EXPECT_NE(act(service, {SlotAction::Kind::Erase, 0, ""}).error, "");

  Scheduler other(engine, small_options(1));
  std::vector<std::shared_ptr<Recorder>> recorders;
  for (int i = 0; i < 3; ++i) {
    recorders.push_back(std::make_shared<Recorder>());
    recorders.back()->hook = [](const scheduler::TokenEvent&) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      return true;
    };
    submitted(other, request_for({300, 301}, 500, recorders.back()));
  }
  recorders[0]->wait_for_tokens(1);
  EXPECT_FALSE(other.drain(std::chrono::steady_clock::now()));
  for (const auto& recorder : recorders) {
    EXPECT_EQ(recorder->wait().reason, FinishReason::Cancelled);
    EXPECT_EQ(recorder->n_finishes(), 1);
  }
  EXPECT_EQ(recorders[2]->wait().slot, -1);
}

TEST(SchedulingEnds, SleepsWhenIdleAndWakesForTheNextRequest) {
  auto options = small_options(1);
  options.sleep_idle_seconds = 0.05;
  std::atomic<int> n_loads{0};
  Scheduler service(
      [&] {
        ++n_loads;
        return std::make_unique<engine::Engine>(
            engine::EngineOptions{.model_path = testing::tiny_model("tiny-base-BF16.gguf"),
                                  .n_threads = 1,
                                  .backend = {},
                                  .progress = {}});
      },
      options);
  const auto prompt = task_prompts(1)[0];
  const auto first = answer(service, prompt, 4);
  for (int i = 0; i < 2000 && !service.is_sleeping(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_TRUE(service.is_sleeping());
  static_cast<void>(service.metrics());
  EXPECT_EQ(service.slots().size(), 1U);
  EXPECT_TRUE(service.is_sleeping());
  EXPECT_EQ(answer(service, prompt, 4)->ids(), first->ids());
  EXPECT_GE(n_loads, 2);
}

TEST(SchedulingEnds, LogsTheLinesPeopleSearchFor) {
  engine::Engine& engine = shared_engine();
  auto options = small_options(1);
  std::mutex mutex;
  std::string log;
  options.log = [&](LogLevel level, std::string_view line) {
    const std::lock_guard lock(mutex);
    if (level == LogLevel::Info) log += std::string(line) + "\n";
  };
  {
    Scheduler service(engine, options);
    const auto prompt = task_prompts(1)[0];
    answer_drafted(service, prompt, kTokens);
    answer_drafted(service, prompt, kTokens);
  }
  for (const char* fragment :
       {"prompt eval time = ", "| eval time = ", "total time = ", "draft acceptance = ",
        "acc per pos = (", "restored context checkpoint"}) {
    EXPECT_NE(log.find(fragment), std::string::npos) << fragment << "\n" << log;
  }
}

}  // namespace
}  // namespace foretoken
