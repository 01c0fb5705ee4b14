// The end of a server, politely and otherwise.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "http/test_server.h"

namespace foretoken::http {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using Clock = std::chrono::steady_clock;

struct Kept {
  std::promise<ExchangePtr> promise;
  Router router() {
    Router out;
    out.add("GET", "/keep", [this](const ExchangePtr& exchange) { promise.set_value(exchange); });
    out.add("GET", "/quick",
            [](const ExchangePtr& exchange) { exchange->respond(text_response("ok")); },
            {.immediate = true});
    return out;
  }
};

constexpr const char* kKeep = "GET /keep HTTP/1.1\r\nHost: x\r\n\r\n";

TEST(Drain, LetsAnswersFinish) {
  Kept kept;
  TestServer server(kept.router());
  RawClient idle = server.client();
  EXPECT_EQ(idle.get("/quick").status, 200);
  RawClient fresh = server.client();
  RawClient busy = server.client();
  busy.send(kKeep);
  ExchangePtr exchange = kept.promise.get_future().get();
  exchange->begin_stream({});
  exchange->write("first ");
  auto drained = std::async(std::launch::async, [&] { server->drain(20s); });
  EXPECT_TRUE(idle.receive_to_end()) << "idle connections go at once";
  EXPECT_TRUE(fresh.receive_to_end());
  EXPECT_THROW(server.client(), std::runtime_error) << "nobody else gets in";
  EXPECT_EQ(drained.wait_for(50ms), std::future_status::timeout);
  exchange->write("second");
  exchange->end_stream();
  const RawAnswer answer = busy.read_answer();
  EXPECT_EQ(answer.body, "first second");
  EXPECT_TRUE(answer.complete);
  drained.get();
  EXPECT_TRUE(busy.receive_to_end());
  EXPECT_EQ(server->counts().connections, 0);
}

TEST(Drain, TellsClientsToClose) {
  Kept kept;
  TestServer server(kept.router());
  RawClient busy = server.client();
  busy.send(kKeep);
  ExchangePtr exchange = kept.promise.get_future().get();
  auto drained = std::async(std::launch::async, [&] { server->drain(20s); });
  // Doors are shut after draining began.
  const auto deadline = Clock::now() + RawClient::kPatience;
  while (Clock::now() < deadline) {
    try {
      server.client();
      std::this_thread::sleep_for(1ms);
    } catch (const std::runtime_error&) {
      break;
    }
  }
  exchange->respond(text_response("last"));
  const RawAnswer answer = busy.read_answer();
  EXPECT_EQ(answer.body, "last");
  EXPECT_EQ(answer.headers.at("connection"), "close");
  drained.get();
}

TEST(Drain, EndsAnswersThatTakeTooLong) {
  Kept kept;
  TestServer server(kept.router());
  RawClient busy = server.client();
  busy.send(kKeep);
  ExchangePtr exchange = kept.promise.get_future().get();
  std::atomic<bool> closed{false};
  exchange->on_close([&] { closed = true; });
  exchange->begin_stream({});
  const auto before = Clock::now();
  server->drain(100ms);
  EXPECT_GE(Clock::now() - before, 100ms);
  EXPECT_TRUE(closed);
  EXPECT_TRUE(busy.receive_to_end());
}

TEST(Drain, AnswersRequestsThatWereOnTheirWay) {
  // Requests sent before the drain begins are all answered, on old connections and on new ones.
  for (int round = 0; round < 10; ++round) {
    Kept kept;
    TestServer server(kept.router());
    std::vector<RawClient> clients;
    for (int i = 0; i < 20; ++i) clients.push_back(server.client());
    for (int i = 0; i < 10; ++i) clients[static_cast<std::size_t>(i)].get("/quick");
    for (RawClient& client : clients) client.send("GET /quick HTTP/1.1\r\nHost: x\r\n\r\n");
    server->drain(20s);
    for (RawClient& client : clients) EXPECT_EQ(client.read_answer().status, 200);
  }
}

TEST(Drain, IsHarmlessTwiceAndBeforeTheStart) {
  Kept kept;
  Server never_started({.port = 0}, kept.router());
  never_started.drain(0ms);
  TestServer server(kept.router());
  server->drain(0ms);
  server->drain(0ms);
}

TEST(Destruction, IsSafeWhateverGoesOn) {
  for (int round = 0; round < 20; ++round) {
    std::atomic<bool> stop{false};
    std::vector<std::thread> writers;
    std::mutex mutex;
    Router router;
    router.add("GET", "/stream", [&](const ExchangePtr& exchange) {
      exchange->begin_stream({.ping_seconds = 0.001});
      const std::lock_guard lock(mutex);
      writers.emplace_back([exchange, &stop] {
        while (exchange->write("data\n\n") && !stop) std::this_thread::yield();
      });
    });
    {
      TestServer server(std::move(router), {.n_io_threads = 2});
      std::vector<RawClient> clients;
      for (int i = 0; i < 6; ++i) {
        clients.push_back(server.client());
        clients.back().send(i % 3 == 2 ? "GET /str" : "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
      }
      if (round % 2 == 0) clients[0].receive_until("data");
    }
    stop = true;
    for (std::thread& writer : writers) writer.join();
  }
}

TEST(Destruction, WaitsForHandlersThatRun) {
  std::promise<void> entered;
  std::atomic<bool> left{false};
  Router router;
  router.add("GET", "/slow", [&](const ExchangePtr& exchange) {
    entered.set_value();
    std::this_thread::sleep_for(50ms);
    exchange->respond(text_response("too late"));
    left = true;
  });
  {
    TestServer server(std::move(router));
    RawClient client = server.client();
    client.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
    entered.get_future().wait();
    server.destroy();
  }
  EXPECT_TRUE(left);
}

}  // namespace
}  // namespace foretoken::http
