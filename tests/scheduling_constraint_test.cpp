// Constraints and drafts together: a constrained text is the same with and without the MTP head,
// forced tokens are drafted for free, and a constraint that fails ends only its own request.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "grammar/constraints.h"
#include "scheduler_fixture.h"

namespace foretoken {
namespace {

using scheduler::FinishReason;
using scheduler::Request;
using scheduler::Scheduler;
using testing::Recorder;
using testing::request_for;
using testing::shared_engine;
using testing::small_options;
using testing::submitted;
using testing::task_prompts;

constexpr int kTokens = kSanitized ? 48 : 64;

const std::shared_ptr<const grammar::TokenTrie>& trie() {
  static const auto made = grammar::make_token_trie(shared_engine().tokenizer());
  return made;
}

std::unique_ptr<sampling::TokenConstraint> gbnf(const std::string& text) {
  grammar::ReplyConstraintOptions options;
  options.gbnf = text;
  return grammar::make_reply_constraint(trie(), options);
}

constexpr char kRecord[] =
    R"(root ::= "{\"name\": \"" [a-z]{3,8} "\", \"numbers\": [" n ("," n)* "]}"
n ::= [0-9]{1,3})";

std::string text_of(const Recorder& recorder) {
  return shared_engine().tokenizer().decode(recorder.ids(), true);
}

std::shared_ptr<Recorder> constrained(Scheduler& service, const std::vector<TokenId>& prompt,
                                      int n_draft, std::unique_ptr<sampling::TokenConstraint> by,
                                      float temperature = 0.0F) {
  auto recorder = std::make_shared<Recorder>();
  Request request = request_for(prompt, kTokens, recorder, n_draft);
  request.sampling.temperature = temperature;
  request.sampling.seed = 5;
  request.speculation.adaptive = false;
  request.constraint = std::move(by);
  submitted(service, std::move(request));
  recorder->wait();
  return recorder;
}

TEST(SchedulingConstraint, TextIsTheSameWithAndWithoutDrafts) {
  Scheduler service(shared_engine(), small_options(2));
  int n_accepted = 0;
  std::uint64_t n_plain_passes = 0;
  std::uint64_t n_drafted_passes = 0;
  std::uint64_t before = 0;
  const auto passes = [&] {
    const auto now = service.metrics().decode_calls;
    return now - std::exchange(before, now);
  };
  for (const auto& prompt : task_prompts(kSanitized ? 2 : 8)) {
    for (const float temperature : {0.0F, 1.0F}) {
      const auto plain = constrained(service, prompt, 0, gbnf(kRecord), temperature);
      n_plain_passes += passes();
      const auto drafted = constrained(service, prompt, 3, gbnf(kRecord), temperature);
      n_drafted_passes += passes();
      EXPECT_EQ(drafted->ids(), plain->ids());
      n_accepted += drafted->wait().timings.draft_n_accepted;
      if (plain->wait().reason == FinishReason::EndOfText) {
        const auto json = nlohmann::json::parse(text_of(*plain));
        EXPECT_TRUE(json.at("numbers").is_array());
      }
      EXPECT_EQ(text_of(*plain).substr(0, 10), R"({"name": ")");
    }
  }
  EXPECT_GT(n_accepted, 0);
  EXPECT_LT(n_drafted_passes, n_plain_passes);
}

/// Allows one fixed text, of which it announces every token.
class OneText final : public sampling::TokenConstraint {
 public:
  OneText(std::vector<TokenId> text, TokenId end) : text_(std::move(text)), end_(end) {}
  bool restricts() const override { return true; }
  bool allows(TokenId token) override { return token == next(); }
  void mask(std::span<float> logits) override {
    for (std::size_t i = 0; i < logits.size(); ++i) {
      if (static_cast<TokenId>(i) != next()) logits[i] = -std::numeric_limits<float>::infinity();
    }
  }
  void accept(TokenId) override {
    if (fails_at == static_cast<int>(n_)) {
      if (is_to_blame) throw RequestError("the grammar is too ambiguous");
      throw std::runtime_error("the constraint is broken");
    }
    ++n_;
  }
  void rollback(int n) override { n_ -= static_cast<std::size_t>(n); }
  std::vector<TokenId> forced(int n) override {
    std::vector<TokenId> out;
    for (std::size_t i = n_; i < text_.size() && static_cast<int>(out.size()) < n; ++i) {
      out.push_back(lies ? 300 : text_[i]);
    }
    return out;
  }
  int fails_at = -1;
  bool is_to_blame = false;
  bool lies = false;

 private:
  TokenId next() const { return n_ < text_.size() ? text_[n_] : end_; }
  std::vector<TokenId> text_;
  TokenId end_;
  std::size_t n_ = 0;
};

TEST(SchedulingConstraint, ForcedTokensComeManyPerPassAndAreNotCountedAsTheHeads) {
  Scheduler service(shared_engine(), small_options(1));
  std::vector<TokenId> text(40);
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<TokenId>(1000 + 7 * i);
  const TokenId end = *shared_engine().tokenizer().find_special("<|im_end|>");
  std::vector<TokenId> expected = text;
  expected.push_back(end);
  for (const float temperature : {0.0F, 0.9F}) {
    const auto before = service.metrics().decode_calls;
    const auto recorder =
        constrained(service, {300, 301, 302}, 3, std::make_unique<OneText>(text, end), temperature);
    EXPECT_EQ(recorder->ids(), expected);
    EXPECT_LE(service.metrics().decode_calls - before, 8U);  // 41 tokens, up to nine per pass
    // The head may draft the end itself, which is not announced.
    EXPECT_LE(recorder->wait().timings.draft_n_accepted, 1);
    for (std::size_t i = 0; i < text.size(); ++i) EXPECT_FALSE(recorder->tokens()[i].from_draft);
  }
  // Announcements that never hold cost a few columns, then no more; the text is what is allowed.
  auto liar = std::make_unique<OneText>(text, end);
  liar->lies = true;
  EXPECT_EQ(constrained(service, {300, 301, 302}, 3, std::move(liar))->ids(), expected);
}

TEST(SchedulingConstraint, OneThatThrowsEndsItsOwnRequestOnly) {
  Scheduler service(shared_engine(), small_options(2));
  const auto prompt = task_prompts(1)[0];
  auto healthy = std::make_shared<Recorder>();
  submitted(service, request_for(prompt, kTokens, healthy));
  std::vector<TokenId> text(40, 500);
  for (const int fails_at : {0, 1, 7}) {
    auto broken = std::make_unique<OneText>(text, 0);
    broken->fails_at = fails_at;
    const auto recorder = constrained(service, prompt, 3, std::move(broken));
    EXPECT_EQ(recorder->wait().reason, FinishReason::Error);
    EXPECT_EQ(recorder->wait().error, "the constraint is broken");
    EXPECT_FALSE(recorder->wait().bad_request);
  }
  auto ambiguous = std::make_unique<OneText>(text, 0);
  ambiguous->fails_at = 2;
  ambiguous->is_to_blame = true;
  EXPECT_TRUE(constrained(service, prompt, 3, std::move(ambiguous))->wait().bad_request);
  healthy->wait();
  EXPECT_EQ(healthy->ids(), testing::text_alone(prompt, kTokens));
}

}  // namespace
}  // namespace foretoken
