// What a client may not do: send too much, too slowly, or too many at a time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "http/test_server.h"

namespace foretoken::http {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using Clock = std::chrono::steady_clock;
using testing::HasSubstr;

Router small_router() {
  Router router;
  router.add("POST", "/post", [](const ExchangePtr& exchange) {
    exchange->respond(text_response(std::to_string(exchange->request().body.size())));
  });
  router.add("GET", "/health",
             [](const ExchangePtr& exchange) { exchange->respond(text_response("ok")); },
             {.open = true, .immediate = true});
  return router;
}

TEST(Limits, RefusesALongBodyBeforeReadingIt) {
  TestServer server(small_router(), {.max_body_bytes = 1000});
  RawClient client = server.client();
  client.send("POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\n\r\n");
  const RawAnswer answer = client.read_answer();
  EXPECT_EQ(answer.status, 413);
  EXPECT_THAT(answer.body, HasSubstr("at most 1000"));
  EXPECT_EQ(answer.headers.at("connection"), "close");
  EXPECT_TRUE(client.receive_to_end());
}

TEST(Limits, ALongBodyThatIsSentAnywayDoesNotLoseTheAnswer) {
  TestServer server(small_router(), {.max_body_bytes = 1000});
  RawClient client = server.client();
  const std::string body(std::size_t{3} << 20, 'x');
  const RawAnswer answer = client.post("/post", body);
  EXPECT_EQ(answer.status, 413);
}

TEST(Limits, RefusesChunksBeyondTheLimit) {
  TestServer server(small_router(), {.max_body_bytes = 1000});
  RawClient client = server.client();
  client.send("POST /post HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 11; ++i) client.send("64\r\n" + std::string(100, 'x') + "\r\n");
  EXPECT_EQ(client.read_answer().status, 413);
}

TEST(Limits, DoesNotInviteABodyThatIsTooLong) {
  TestServer server(small_router(), {.max_body_bytes = 1000});
  RawClient client = server.client();
  client.send(
      "POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.read_answer().status, 413);
}

TEST(Limits, GoesOnAfterRefusingAShortBody) {
  TestServer server(small_router());
  RawClient client = server.client();
  EXPECT_EQ(client.post("/nowhere", "short").status, 404);
  EXPECT_EQ(client.post("/post", "123").body, "3");
}

TEST(Limits, RefusesALongHead) {
  TestServer server(small_router(), {.max_header_bytes = 2048});
  RawClient client = server.client();
  const RawAnswer answer = client.get("/health", "X: " + std::string(3000, 'x') + "\r\n");
  EXPECT_EQ(answer.status, 431);
  EXPECT_THAT(answer.body, HasSubstr("2048"));
  EXPECT_TRUE(client.receive_to_end());
  // Just below the limit is fine.
  EXPECT_EQ(server.client().get("/health", "X: " + std::string(1900, 'x') + "\r\n").status, 200);
}

TEST(Limits, GivesUpOnHeadsThatDoNotEnd) {
  TestServer server(small_router(), {.header_timeout = 1s});
  RawClient client = server.client();
  const auto before = Clock::now();
  client.send("GET /health HTTP/1.1\r\n");
  // One more byte from time to time does not help.
  for (int i = 0; i < 4; ++i) {
    std::this_thread::sleep_for(100ms);
    client.send("X");
  }
  EXPECT_EQ(client.read_answer().status, 408);
  EXPECT_GE(Clock::now() - before, 990ms);
  EXPECT_TRUE(client.receive_to_end());
}

TEST(Limits, GivesUpOnBodiesThatDoNotEnd) {
  TestServer server(small_router(), {.timeout = 1s});
  RawClient client = server.client();
  client.send("POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
  EXPECT_EQ(client.read_answer().status, 408);
  EXPECT_TRUE(client.receive_to_end());
}

TEST(Limits, ClosesIdleConnectionsWithoutAWord) {
  TestServer server(small_router(), {.timeout = 1s});
  RawClient fresh = server.client();
  RawClient used = server.client();
  EXPECT_EQ(used.get("/health").status, 200);
  EXPECT_TRUE(fresh.receive_to_end());
  EXPECT_TRUE(used.receive_to_end());
  EXPECT_EQ(fresh.received() + used.received(), "");
}

TEST(Limits, GivesUpOnReadersThatStoppedReading) {
  Router router;
  router.add("GET", "/big", [](const ExchangePtr& exchange) {
    exchange->respond(text_response(std::string(std::size_t{32} << 20, 'x')));
  });
  TestServer server(std::move(router), {.timeout = 1s});
  RawClient client = server.client();
  client.send("GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
  const auto deadline = Clock::now() + RawClient::kPatience;
  while (server->counts().streams == 0 && Clock::now() < deadline) std::this_thread::sleep_for(1ms);
  while (server->counts().connections > 0 && Clock::now() < deadline) {
    std::this_thread::sleep_for(10ms);
  }
  EXPECT_EQ(server->counts().connections, 0);
}

TEST(Limits, TurnsAwayConnectionsBeyondTheLimit) {
  TestServer server(small_router(), {.max_connections = 3});
  std::vector<RawClient> inside;
  for (int i = 0; i < 3; ++i) {
    inside.push_back(server.client());
    EXPECT_EQ(inside.back().get("/health").status, 200);
  }
  RawClient outside = server.client();
  const RawAnswer answer = outside.read_answer();
  EXPECT_EQ(answer.status, 503);
  EXPECT_THAT(answer.body, HasSubstr("unavailable_error"));
  EXPECT_TRUE(outside.receive_to_end());
  for (RawClient& client : inside) EXPECT_EQ(client.get("/health").status, 200);
  inside.pop_back();
  const auto deadline = Clock::now() + RawClient::kPatience;
  while (server->counts().connections > 2 && Clock::now() < deadline) {
    std::this_thread::sleep_for(1ms);
  }
  EXPECT_EQ(server.client().get("/health").status, 200);
}

}  // namespace
}  // namespace foretoken::http
