// Many connections, and clients that behave at random.
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "http/test_server.h"

namespace foretoken::http {
namespace {

using std::chrono_literals::operator""ms;
using Clock = std::chrono::steady_clock;

Router busy_router() {
  Router router;
  router.add("GET", "/health",
             [](const ExchangePtr& exchange) { exchange->respond(text_response("ok")); },
             {.open = true, .immediate = true});
  router.add("POST", "/echo", [](const ExchangePtr& exchange) {
    exchange->respond(text_response(exchange->request().body));
  });
  router.add("GET", "/stream", [](const ExchangePtr& exchange) {
    exchange->begin_stream({.ping_seconds = 0.01});
    for (int i = 0; i < 20; ++i) exchange->write("data: " + std::to_string(i) + "\n\n");
    exchange->end_stream();
  });
  return router;
}

TEST(Load, TwoThousandIdleConnectionsDisturbNobody) {
  constexpr std::size_t kIdle = 2000;
  if (raise_descriptor_limit(2 * kIdle + 200) < 2 * kIdle + 200) {
    GTEST_SKIP() << "this process may not open enough sockets";
  }
  TestServer server(busy_router());
  std::vector<RawClient> idle;
  for (std::size_t i = 0; i < kIdle; ++i) {
    idle.push_back(server.client());
    // A third has asked before, a third is in the middle of a request.
    if (i % 3 == 1) {
      ASSERT_EQ(idle.back().get("/health").status, 200);
    }
    if (i % 3 == 2) idle.back().send("GET /hea");
  }
  RawClient client = server.client();
  for (int i = 0; i < 200; ++i) ASSERT_EQ(client.post("/echo", "x").body, "x");
  EXPECT_EQ(server->counts().connections, static_cast<int>(kIdle) + 1);
  for (std::size_t i = 0; i < kIdle; i += 97) {
    idle[i].send(i % 3 == 2 ? "lth HTTP/1.1\r\n\r\n" : "GET /health HTTP/1.1\r\n\r\n");
    EXPECT_EQ(idle[i].read_answer().body, "ok");
  }
}

/// One visit of a client that may do anything. False: an answer was wrong.
bool visit(int port, std::mt19937& random) {
  RawClient client(port);
  const auto kind = static_cast<unsigned>(random() % 6);
  if (kind == 0) return client.get("/health").body == "ok";
  if (kind == 1) {
    const std::string body(random() % 100'000, 'b');
    return client.post("/echo", body).body == body;
  }
  std::string bytes =
      "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\n" + std::string(50'000, 'c');
  if (kind == 2) bytes = "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n";
  if (kind == 3) {
    for (char& c : bytes = std::string(random() % 300, ' ')) c = static_cast<char>(random());
  }
  client.send(
      std::string_view(bytes).substr(0, kind == 2 ? bytes.size() : random() % bytes.size()));
  if (random() % 2 == 0) client.receive(std::chrono::milliseconds(random() % 3));
  if (random() % 2 == 0) client.reset();
  return true;
}

TEST(Load, ClientsThatLeaveAtRandomHarmNobody) {
  TestServer server(busy_router(), {.n_io_threads = 2, .n_handler_threads = 2});
  std::atomic<int> wrong{0};
  std::vector<std::thread> visitors;
  for (unsigned t = 0; t < 4; ++t) {
    visitors.emplace_back([&, t] {
      std::mt19937 random(t);
      for (int i = 0; i < 150; ++i) {
        if (!visit(server->port(), random)) ++wrong;
      }
    });
  }
  for (std::thread& visitor : visitors) visitor.join();
  EXPECT_EQ(wrong, 0);
  const auto deadline = Clock::now() + RawClient::kPatience;
  while (server->counts().connections > 0 && Clock::now() < deadline) {
    std::this_thread::sleep_for(5ms);
  }
  EXPECT_EQ(server->counts().connections, 0) << "all of them are noticed to have left";
  EXPECT_EQ(server->counts().streams, 0);
}

}  // namespace
}  // namespace foretoken::http
