// Answers that grow: streaming, heartbeats, slow readers, and clients that leave.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "http/raw_client.h"
#include "http/test_server.h"

namespace foretoken::http {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using Clock = std::chrono::steady_clock;
using testing::HasSubstr;

/// A router whose one route hands its exchanges to the test.
class Kept {
 public:
  Router router() {
    Router out;
    out.add("GET", "/stream", [this](const ExchangePtr& exchange) {
      const std::lock_guard lock(mutex_);
      exchanges_.push_back(exchange);
      arrived_.notify_all();
    });
    out.add("GET", "/health",
            [](const ExchangePtr& exchange) { exchange->respond(text_response("ok")); },
            {.open = true, .immediate = true});
    return out;
  }
  ExchangePtr take() {
    std::unique_lock lock(mutex_);
    if (!arrived_.wait_for(lock, RawClient::kPatience, [&] { return !exchanges_.empty(); })) {
      throw std::runtime_error("no request arrived");
    }
    ExchangePtr out = exchanges_.front();
    exchanges_.erase(exchanges_.begin());
    return out;
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<ExchangePtr> exchanges_;
};

constexpr const char* kAsk = "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n";

TEST(Stream, SendsPiecesAsTheyCome) {
  Kept kept;
  TestServer server(kept.router());
  RawClient client = server.client();
  client.send(kAsk);
  const ExchangePtr exchange = kept.take();
  exchange->begin_stream({});
  ASSERT_TRUE(client.receive_until("\r\n\r\n")) << "the head goes out at once";
  EXPECT_THAT(client.received(), HasSubstr("Content-Type: text/event-stream\r\n"));
  EXPECT_THAT(client.received(), HasSubstr("Cache-Control: no-cache\r\n"));
  EXPECT_THAT(client.received(), HasSubstr("X-Accel-Buffering: no\r\n"));
  EXPECT_TRUE(exchange->write("data: 1\n\n"));
  ASSERT_TRUE(client.receive_until("\r\n9\r\ndata: 1\n\n\r\n"));
  EXPECT_TRUE(exchange->write("data: 2\n\n"));
  ASSERT_TRUE(client.receive_until("data: 2\n\n"));
  exchange->end_stream();
  EXPECT_FALSE(exchange->write("too late"));
  const RawAnswer answer = client.read_answer();
  EXPECT_TRUE(answer.complete);
  EXPECT_EQ(answer.body, "data: 1\n\ndata: 2\n\n");
  EXPECT_EQ(client.get("/health").body, "ok") << "the connection goes on";
}

TEST(Stream, KeepsHeadersOfTheHandler) {
  Kept kept;
  TestServer server(kept.router());
  RawClient client = server.client();
  client.send(kAsk);
  const ExchangePtr exchange = kept.take();
  exchange->begin_stream({.status = 201,
                          .content_type = "text/plain",
                          .headers = {{"cache-control", "private"}, {"X-Mine", "1"}}});
  exchange->end_stream();
  const RawAnswer answer = client.read_answer();
  EXPECT_EQ(answer.status, 201);
  EXPECT_EQ(answer.headers.at("cache-control"), "private");
  EXPECT_EQ(answer.headers.at("x-mine"), "1");
  EXPECT_EQ(answer.headers.at("content-type"), "text/plain");
}

TEST(Stream, EndsWithTheConnectionInHttp10) {
  Kept kept;
  TestServer server(kept.router());
  RawClient client = server.client();
  client.send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  const ExchangePtr exchange = kept.take();
  exchange->begin_stream({});
  exchange->write("one ");
  exchange->write("two");
  exchange->end_stream();
  const RawAnswer answer = client.read_answer();
  EXPECT_EQ(answer.headers.at("connection"), "close");
  EXPECT_FALSE(answer.headers.contains("transfer-encoding"));
  EXPECT_EQ(answer.body, "one two");
}

TEST(Stream, HeadGetsNoBody) {
  Kept kept;
  TestServer server(kept.router());
  RawClient client = server.client();
  client.send("HEAD /stream HTTP/1.1\r\nHost: x\r\n\r\n");
  const ExchangePtr exchange = kept.take();
  exchange->begin_stream({});
  exchange->write("hidden");
  exchange->end_stream();
  EXPECT_EQ(client.read_answer(true).status, 200);
  EXPECT_EQ(client.get("/health").body, "ok");
}

TEST(Stream, BeatsWhileThereIsSilence) {
  Kept kept;
  TestServer server(kept.router());
  RawClient client = server.client();
  client.send(kAsk);
  const ExchangePtr exchange = kept.take();
  exchange->begin_stream({.ping_seconds = 0.05, .ping = ":\n\n"});
  ASSERT_TRUE(client.receive_until("3\r\n:\n\n\r\n3\r\n:\n\n\r\n"));
  exchange->write("data\n\n");
  ASSERT_TRUE(client.receive_until("data\n\n\r\n3\r\n:\n\n\r\n"));
  exchange->end_stream();
  EXPECT_TRUE(client.read_answer().complete);
}

TEST(Stream, DoesNotBeatWhenTurnedOff) {
  Kept kept;
  TestServer server(kept.router());
  RawClient client = server.client();
  client.send(kAsk);
  const ExchangePtr exchange = kept.take();
  exchange->begin_stream({.ping_seconds = -1});
  ASSERT_TRUE(client.receive_until("\r\n\r\n"));
  EXPECT_FALSE(client.receive(200ms));
}

TEST(Stream, TellsAtOnceWhenTheClientLeaves) {
  Kept kept;
  TestServer server(kept.router());
  // By a goodbye, by a reset, before and during the stream.
  for (const bool rude : {false, true}) {
    for (const bool begun : {false, true}) {
      RawClient client = server.client();
      client.send(kAsk);
      const ExchangePtr exchange = kept.take();
      std::promise<void> closed;
      exchange->on_close([&] { closed.set_value(); });
      if (begun) {
        exchange->begin_stream({});
        ASSERT_TRUE(client.receive_until("\r\n\r\n"));
      }
      EXPECT_FALSE(exchange->closed());
      const auto before = Clock::now();
      rude ? client.reset() : client.close();
      ASSERT_EQ(closed.get_future().wait_for(RawClient::kPatience), std::future_status::ready);
      // It takes well under a millisecond; the bound is for busy machines.
      EXPECT_LT(Clock::now() - before, 2s);
      EXPECT_TRUE(exchange->closed());
      EXPECT_FALSE(exchange->write("nobody reads this"));
      bool called = false;
      exchange->on_close([&] { called = true; });
      EXPECT_TRUE(called) << "at once when it already happened";
    }
  }
}

TEST(Stream, NoticesALeavingClientBehindPipelinedBytes) {
  Kept kept;
  TestServer server(kept.router());
  RawClient client = server.client();
  client.send(std::string(kAsk) + "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
  const ExchangePtr exchange = kept.take();
  std::promise<void> closed;
  exchange->on_close([&] { closed.set_value(); });
  exchange->begin_stream({});
  ASSERT_TRUE(client.receive_until("\r\n\r\n"));
  client.close();
  EXPECT_EQ(closed.get_future().wait_for(RawClient::kPatience), std::future_status::ready);
}

TEST(Stream, SaysNothingAfterACompleteAnswer) {
  Kept kept;
  TestServer server(kept.router());
  std::atomic<bool> called{false};
  ExchangePtr exchange;
  {
    RawClient client = server.client();
    client.send(kAsk);
    exchange = kept.take();
    exchange->on_close([&] { called = true; });
    exchange->respond(text_response("done"));
    EXPECT_EQ(client.read_answer().body, "done");
  }
  while (server->counts().connections > 0) std::this_thread::sleep_for(1ms);
  exchange->on_close([&] { called = true; });
  EXPECT_FALSE(called);
}

TEST(Stream, StillAnswersClientsThatClosedTheirHalf) {
  Kept kept;
  TestServer server(kept.router());
  RawClient client = server.client();
  client.send(kAsk);
  const ExchangePtr exchange = kept.take();
  std::promise<void> closed;
  exchange->on_close([&] { closed.set_value(); });
  client.close_sending_half();
  closed.get_future().wait();
  exchange->respond(text_response("you still get it"));
  EXPECT_EQ(client.read_answer().body, "you still get it");
  EXPECT_TRUE(client.receive_to_end());
}

TEST(Stream, ShowsTheClientThatAnAnswerBroke) {
  Kept kept;
  TestServer server(kept.router());
  RawClient client = server.client();
  client.send(kAsk);
  ExchangePtr exchange = kept.take();
  exchange->begin_stream({});
  exchange->write("half of");
  exchange.reset();
  const RawAnswer answer = client.read_answer();
  EXPECT_EQ(answer.body, "half of");
  EXPECT_FALSE(answer.complete);
  EXPECT_TRUE(client.receive_to_end());
}

TEST(Stream, ASlowReaderDelaysNobody) {
  Kept kept;
  ServerOptions options;
  options.max_stream_backlog = std::size_t{16} << 20;
  TestServer server(kept.router(), options);
  RawClient slow = server.client();
  slow.send(kAsk);
  const ExchangePtr exchange = kept.take();
  exchange->begin_stream({});
  const std::string piece(std::size_t{64} << 10, 'p');
  std::size_t written = 0;
  while (written < (std::size_t{8} << 20)) {
    ASSERT_TRUE(exchange->write(piece));
    written += piece.size();
  }
  exchange->end_stream();
  EXPECT_GT(exchange->backlog(), std::size_t{1} << 20) << "the socket cannot have taken all of it";
  RawClient other = server.client();
  const auto before = Clock::now();
  for (int i = 0; i < 100; ++i) ASSERT_EQ(other.get("/health").body, "ok");
  EXPECT_LT(Clock::now() - before, 5s);
  const RawAnswer answer = slow.read_answer();
  EXPECT_TRUE(answer.complete);
  EXPECT_EQ(answer.body.size(), written);
}

TEST(Stream, HangsUpOnReadersThatAreTooSlow) {
  Kept kept;
  ServerOptions options;
  options.max_stream_backlog = std::size_t{1} << 20;
  TestServer server(kept.router(), options);
  RawClient slow = server.client();
  slow.send(kAsk);
  const ExchangePtr exchange = kept.take();
  std::promise<void> closed;
  exchange->on_close([&] { closed.set_value(); });
  exchange->begin_stream({});
  const std::string piece(std::size_t{64} << 10, 'p');
  int pieces = 0;
  while (exchange->write(piece)) ASSERT_LT(++pieces, 10'000);
  EXPECT_EQ(closed.get_future().wait_for(RawClient::kPatience), std::future_status::ready);
  EXPECT_EQ(exchange->backlog(), 0U);
  EXPECT_TRUE(slow.receive_to_end());
}

TEST(Stream, BacklogFallsToNothingWhenRead) {
  Kept kept;
  TestServer server(kept.router());
  RawClient client = server.client();
  client.send(kAsk);
  const ExchangePtr exchange = kept.take();
  exchange->begin_stream({});
  for (int i = 0; i < 100; ++i) exchange->write("data\n\n");
  std::thread reader([&] {
    while (client.receive_until(std::string("never"), 10ms) || client.received().size() < 600) {
    }
  });
  reader.join();
  const auto deadline = Clock::now() + RawClient::kPatience;
  while (exchange->backlog() > 0 && Clock::now() < deadline) std::this_thread::sleep_for(1ms);
  EXPECT_EQ(exchange->backlog(), 0U);
}

TEST(Stream, PiecesOfSeveralThreadsStayWhole) {
  Kept kept;
  TestServer server(kept.router());
  RawClient client = server.client();
  client.send(kAsk);
  const ExchangePtr exchange = kept.take();
  exchange->begin_stream({});
  std::vector<std::thread> writers;
  for (int t = 0; t < 4; ++t) {
    writers.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i) {
        exchange->write(std::to_string(t) + ":" + std::to_string(i) + "\n");
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  exchange->end_stream();
  const RawAnswer answer = client.read_answer();
  std::array<int, 4> next{};
  std::istringstream lines(answer.body);
  for (std::string line; std::getline(lines, line);) {
    const auto t = static_cast<std::size_t>(line.at(0) - '0');
    EXPECT_EQ(line, std::to_string(t) + ":" + std::to_string(next[t]++));
  }
  EXPECT_EQ(next, (std::array<int, 4>{500, 500, 500, 500}));
}

TEST(Stream, OutlivesItsServerUnharmed) {
  Kept kept;
  ExchangePtr waiting;
  ExchangePtr streaming;
  std::atomic<int> closed{0};
  {
    TestServer server(kept.router());
    RawClient one = server.client();
    one.send(kAsk);
    waiting = kept.take();
    waiting->on_close([&] { ++closed; });
    RawClient two = server.client();
    two.send(kAsk);
    streaming = kept.take();
    streaming->on_close([&] { ++closed; });
    streaming->begin_stream({});
  }
  EXPECT_EQ(closed, 2);
  EXPECT_TRUE(waiting->closed());
  waiting->respond(text_response("nobody"));
  EXPECT_FALSE(streaming->write("nobody"));
  streaming->end_stream();
  EXPECT_EQ(waiting->request().path, "/stream");
}

}  // namespace
}  // namespace foretoken::http
