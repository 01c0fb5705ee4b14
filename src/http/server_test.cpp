// Requests and whole answers over real sockets.
#include "http/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "base/error.h"
#include "http/raw_client.h"
#include "http/test_server.h"

namespace foretoken::http {
namespace {

using std::chrono_literals::operator""ms;
using testing::HasSubstr;
using testing::Not;

/// What a request arrived as.
std::string describe(const Request& request) {
  std::string out = request.method + " " + request.path;
  for (const auto& [name, value] : request.query) out += " ?" + name + "=" + value;
  for (const auto& [name, value] : request.parameters) out += " {" + name + "}=" + value;
  return out + " body=" + request.body;
}

Router echo_router() {
  Router router;
  const Handler echo = [](const ExchangePtr& exchange) {
    exchange->respond(text_response(describe(exchange->request())));
  };
  router.add("GET", "/echo", echo);
  router.add("POST", "/echo", echo);
  router.add("GET", "/slots/{id}", echo);
  router.add("GET", "/health",
             [](const ExchangePtr& exchange) { exchange->respond(text_response("ok")); },
             {.open = true, .immediate = true});
  return router;
}

TEST(Server, AnswersGet) {
  TestServer server(echo_router());
  const RawAnswer answer = server.client().get("/echo?a=1&b=x%20y+z");
  EXPECT_EQ(answer.status, 200);
  EXPECT_TRUE(answer.complete);
  EXPECT_EQ(answer.body, "GET /echo ?a=1 ?b=x y z body=");
  EXPECT_EQ(answer.headers.at("server"), "foretoken");
  EXPECT_EQ(answer.headers.at("content-type"), "text/plain");
  EXPECT_THAT(answer.headers.at("date"), HasSubstr(" GMT"));
}

TEST(Server, LetsGoOfABodyWhenItsHandlerReturns) {
  ExchangePtr waiting;  // touched by the one handler thread only
  Router router;
  router.add("POST", "/wait", [&](const ExchangePtr& exchange) {
    waiting = exchange;
    exchange->begin_stream({});
  });
  router.add("GET", "/look", [&](const ExchangePtr& exchange) {
    exchange->respond(text_response(std::to_string(waiting->request().body.capacity())));
    waiting->end_stream();
    waiting.reset();
  });
  TestServer server(std::move(router), {.n_handler_threads = 1});
  RawClient first = server.client();
  const std::string body(1 << 20, 'x');
  first.send("POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) +
             "\r\n\r\n" + body);
  EXPECT_TRUE(first.receive_until("\r\n\r\n"));
  EXPECT_LT(std::stoul(server.client().get("/look").body), 100U);
}

TEST(Server, KeepsConnectionsAlive) {
  TestServer server(echo_router());
  RawClient client = server.client();
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(client.post("/echo", std::to_string(i)).body, "POST /echo body=" + std::to_string(i));
  }
  EXPECT_EQ(server->counts().connections, 1);
}

TEST(Server, ClosesWhenAskedTo) {
  TestServer server(echo_router());
  RawClient client = server.client();
  const RawAnswer answer = client.get("/echo", "Connection: close\r\n");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.headers.at("connection"), "close");
  EXPECT_TRUE(client.receive_to_end());
}

TEST(Server, SpeaksHttp10) {
  TestServer server(echo_router());
  RawClient closing = server.client();
  EXPECT_EQ(closing.ask("GET /echo HTTP/1.0\r\n\r\n").body, "GET /echo body=");
  EXPECT_TRUE(closing.receive_to_end());

  RawClient keeping = server.client();
  for (int i = 0; i < 2; ++i) {
    const RawAnswer answer = keeping.ask("GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    EXPECT_EQ(answer.headers.at("connection"), "keep-alive");
    EXPECT_TRUE(answer.complete);
  }
}

TEST(Server, AnswersPipelinedRequestsInOrder) {
  TestServer server(echo_router());
  RawClient client = server.client();
  std::string all;
  for (int i = 0; i < 50; ++i) {
    all += "GET /slots/" + std::to_string(i) + " HTTP/1.1\r\nHost: x\r\n\r\n";
  }
  client.send(all);
  for (int i = 0; i < 50; ++i) {
    EXPECT_THAT(client.read_answer().body, HasSubstr("{id}=" + std::to_string(i) + " "));
  }
}

TEST(Server, AnswersPipelinedRequestsBeyondItsReadAhead) {
  TestServer server(echo_router());
  RawClient client = server.client();
  constexpr int kRequests = 4000;
  std::thread sender([&] {
    for (int i = 0; i < kRequests; ++i) {
      client.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n" +
                  std::string(100, 'x'));
    }
  });
  int answered = 0;
  for (; answered < kRequests; ++answered) {
    if (client.read_answer().status != 200) break;
  }
  sender.join();
  EXPECT_EQ(answered, kRequests);
}

TEST(Server, ReadsChunkedBodies) {
  TestServer server(echo_router());
  const RawAnswer answer = server.client().ask(
      "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
      "5\r\nhello\r\n1;x=y\r\n \r\n6\r\nworld!\r\n0\r\nTrailer: z\r\n\r\n");
  EXPECT_EQ(answer.body, "POST /echo body=hello world!");
}

TEST(Server, ReadsBodiesOfMegabytes) {
  TestServer server(echo_router());
  const std::string body(std::size_t{5} << 20, 'b');
  RawClient client = server.client();
  const RawAnswer answer = client.post("/echo", body);
  EXPECT_EQ(answer.body.size(), body.size() + std::string("POST /echo body=").size());
}

TEST(Server, ReadsRequestsThatArriveByteByByte) {
  TestServer server(echo_router());
  RawClient client = server.client();
  for (const char c :
       std::string("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")) {
    client.send({&c, 1});
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  EXPECT_EQ(client.read_answer().body, "POST /echo body=hi");
}

TEST(Server, InvitesBodiesThatWaitToBeInvited) {
  TestServer server(echo_router());
  RawClient client = server.client();
  client.send(
      "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.read_answer().status, 100);
  client.send("hi");
  EXPECT_EQ(client.read_answer().body, "POST /echo body=hi");
}

TEST(Server, RefusesUnknownExpectations) {
  TestServer server(echo_router());
  EXPECT_EQ(server.client().get("/echo", "Expect: a-miracle\r\n").status, 417);
}

TEST(Server, AnswersHeadLikeGetWithoutABody) {
  TestServer server(echo_router());
  RawClient client = server.client();
  client.send("HEAD /health HTTP/1.1\r\nHost: x\r\n\r\n");
  const RawAnswer answer = client.read_answer(true);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.headers.at("content-length"), "2");
  // Nothing may follow but the next answer.
  EXPECT_EQ(client.get("/echo").body, "GET /echo body=");
}

TEST(Server, UnderstandsAbsoluteTargets) {
  TestServer server(echo_router());
  EXPECT_EQ(server.client().get("http://example.com:80/echo?q=1").body, "GET /echo ?q=1 body=");
}

TEST(Server, ResolvesDotsAndNeverClimbsAboveTheRoot) {
  Router router;
  router.set_fallback([](const ExchangePtr& exchange) {
    exchange->respond(text_response(exchange->request().path));
  });
  TestServer server(std::move(router));
  RawClient client = server.client();
  EXPECT_EQ(client.get("/../../etc/passwd").body, "/etc/passwd");
  EXPECT_EQ(client.get("/a/%2e%2e/%2E%2E%2f..%2fetc//passwd").body, "/etc/passwd");
  EXPECT_EQ(client.get("/a/./b/../c/").body, "/a/c/");
}

TEST(Server, RefusesBadEscapes) {
  TestServer server(echo_router());
  RawClient client = server.client();
  for (const char* path :
       {"/echo%", "/echo%4", "/echo%zz", "/echo%00", "/echo?a=%f", "/echo?%00=1"}) {
    const RawAnswer answer = client.get(path);
    EXPECT_EQ(answer.status, 400) << path;
    EXPECT_THAT(answer.body, HasSubstr("invalid_request_error")) << path;
  }
}

TEST(Server, RefusesWhatIsNotHttp) {
  TestServer server(echo_router());
  for (const char* noise :
       {"\x16\x03\x01\x02\x00\x01", "GET\r\n\r\n", "GET /echo\r\n\r\n",
        "GET /echo HTTP/1.1\r\nx\r\n\r\n", "GET /ec ho HTTP/1.1\r\n\r\n",
        "GET /echo HTTP/1.1\r\nA b: c\r\n\r\n", "POST /echo HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        "POST /echo HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "POST /echo HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "CONNECT example.com:80 HTTP/1.1\r\n\r\n"}) {
    RawClient client = server.client();
    const RawAnswer answer = client.ask(noise);
    EXPECT_EQ(answer.status, 400) << noise;
    EXPECT_THAT(answer.body, HasSubstr(R"("type":"invalid_request_error")")) << noise;
  }
}

TEST(Server, RefusesRequestsThatProxiesReadDifferently) {
  TestServer server(echo_router());
  for (const char* fields :
       {"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 3\r\nContent-Length: 4\r\n", "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "Host: y\r\n"}) {
    RawClient client = server.client();
    client.send("POST /echo HTTP/1.1\r\nHost: x\r\n" + std::string(fields) + "\r\nabc");
    EXPECT_EQ(client.read_answer().status, 400) << fields;
    EXPECT_TRUE(client.receive_to_end()) << fields;
  }
}

TEST(Server, RefusesOtherVersions) {
  TestServer server(echo_router());
  EXPECT_EQ(server.client().ask("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").status, 505);
  EXPECT_EQ(server.client().ask("GET /echo HTTP/1.2\r\n\r\n").status, 505);
}

TEST(Server, KnowsNotEveryPath) {
  TestServer server(echo_router());
  RawClient client = server.client();
  for (const char* path : {"/nothing", "/", "/echo/", "/slots/", "/slots/1/2"}) {
    const RawAnswer answer = client.get(path);
    EXPECT_EQ(answer.status, 404) << path;
    EXPECT_EQ(answer.body,
              R"({"error":{"code":404,"message":"File Not Found","type":"not_found_error"}})");
  }
}

TEST(Server, NamesTheMethodsOfAPath) {
  TestServer server(echo_router());
  RawClient client = server.client();
  const RawAnswer answer = client.ask("DELETE /echo HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(answer.status, 405);
  EXPECT_EQ(answer.headers.at("allow"), "OPTIONS, GET, HEAD, POST");
  EXPECT_EQ(client.ask("BREW /echo HTTP/1.1\r\nHost: x\r\n\r\n").status, 405);
}

TEST(Server, PutsItsPrefixInFrontOfEveryPath) {
  TestServer server(echo_router(), {.prefix = "/api/llm/"});
  RawClient client = server.client();
  EXPECT_EQ(client.get("/api/llm/echo").body, "GET /echo body=");
  EXPECT_EQ(client.get("/echo").status, 404);
  EXPECT_EQ(client.get("/api/llmecho").status, 404);
}

TEST(Server, TurnsExceptionsIntoAnswers) {
  Router router;
  router.add("GET", "/mine", [](const ExchangePtr&) { throw RequestError("Field 'x': no \"y\""); });
  router.add("GET", "/ours", [](const ExchangePtr&) { throw std::logic_error("oops"); });
  router.add("GET", "/odd", [](const ExchangePtr&) { throw 7; });
  router.add("GET", "/quick", [](const ExchangePtr&) { throw RequestError("quick"); },
             {.immediate = true});
  TestServer server(std::move(router));
  RawClient client = server.client();
  const RawAnswer mine = client.get("/mine");
  EXPECT_EQ(mine.status, 400);
  EXPECT_EQ(mine.body, R"({"error":{"code":400,"message":"Field 'x': no \"y\"",)"
                       R"("type":"invalid_request_error"}})");
  EXPECT_THAT(client.get("/ours").body,
              HasSubstr(R"("code":500,"message":"oops","type":"server_error")"));
  EXPECT_EQ(client.get("/odd").status, 500);
  EXPECT_EQ(client.get("/quick").status, 400);
}

TEST(Server, UsesTheRoutersFormatForItsOwnErrors) {
  Router router;
  router.set_error_format([](std::string_view path, int status, std::string_view type,
                             std::string_view message) -> Response {
    return {.status = status,
            .content_type = "text/plain",
            .headers = {},
            .body = std::string(path) + "|" + std::string(type) + "|" + std::string(message)};
  });
  TestServer server(std::move(router));
  EXPECT_EQ(server.client().get("/a").body, "/a|not_found_error|File Not Found");
}

TEST(Server, AnswersForHandlersThatForget) {
  Router router;
  router.add("GET", "/forgets", [](const ExchangePtr&) {});
  TestServer server(std::move(router));
  RawClient client = server.client();
  EXPECT_EQ(client.get("/forgets").status, 500);
  EXPECT_EQ(client.get("/forgets").status, 500);
}

TEST(Server, TakesOnlyTheFirstAnswer) {
  Router router;
  router.add("GET", "/twice", [](const ExchangePtr& exchange) {
    exchange->respond(text_response("first"));
    exchange->respond(text_response("second"));
    exchange->begin_stream({});
    EXPECT_FALSE(exchange->write("third"));
  });
  TestServer server(std::move(router));
  RawClient client = server.client();
  EXPECT_EQ(client.get("/twice").body, "first");
  EXPECT_EQ(client.get("/twice").body, "first");
}

TEST(Server, LetsNoHeaderBeginAnother) {
  Router router;
  router.add("GET", "/x", [](const ExchangePtr& exchange) {
    Response response = text_response("ok");
    response.headers = {{"X-Name", "a\r\nX-Evil: b"}, {"Bad Name", "c"}, {"Content-Length", "999"}};
    exchange->respond(std::move(response));
  });
  TestServer server(std::move(router));
  const RawAnswer answer = server.client().get("/x");
  EXPECT_EQ(answer.headers.at("x-name"), "a  X-Evil: b");
  EXPECT_FALSE(answer.headers.contains("x-evil"));
  EXPECT_FALSE(answer.headers.contains("bad name"));
  EXPECT_EQ(answer.body, "ok");
}

TEST(Server, AnswersImmediateRoutesWhileHandlersAreBusy) {
  std::promise<void> go;
  const std::shared_future<void> gone = go.get_future().share();
  Router router = echo_router();
  router.add("GET", "/slow", [gone](const ExchangePtr& exchange) {
    gone.wait();
    exchange->respond(text_response("slow"));
  });
  TestServer server(std::move(router), {.n_handler_threads = 1});
  std::vector<RawClient> waiting;
  for (int i = 0; i < 4; ++i) {
    waiting.push_back(server.client());
    waiting.back().send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
  }
  RawClient client = server.client();
  for (int i = 0; i < 20; ++i) EXPECT_EQ(client.get("/health").body, "ok");
  go.set_value();
  for (RawClient& other : waiting) EXPECT_EQ(other.read_answer().body, "slow");
}

TEST(Server, HandlersMayAnswerLaterFromElsewhere) {
  std::promise<ExchangePtr> kept;
  Router router;
  router.add("GET", "/later", [&](const ExchangePtr& exchange) { kept.set_value(exchange); });
  TestServer server(std::move(router));
  RawClient client = server.client();
  client.send("GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
  ExchangePtr exchange = kept.get_future().get();
  EXPECT_EQ(server->counts().streams, 1);
  exchange->respond(text_response("at last"));
  EXPECT_EQ(client.read_answer().body, "at last");
}

TEST(Server, SharesConnectionsAmongSeveralIoThreads) {
  TestServer server(echo_router(), {.n_io_threads = 2});
  std::vector<RawClient> clients;
  for (int i = 0; i < 8; ++i) clients.push_back(server.client());
  for (int round = 0; round < 3; ++round) {
    for (RawClient& client : clients) EXPECT_EQ(client.get("/echo").body, "GET /echo body=");
  }
}

TEST(Server, RefusesOptionsOutOfRange) {
  const auto refuses = [](ServerOptions options) {
    EXPECT_THROW(Server(options, Router()), RequestError);
  };
  refuses({.port = 65536});
  refuses({.port = -1});
  refuses({.hosts = {}, .port = 0});
  refuses({.port = 0, .api_keys = {""}});
  refuses({.port = 0, .tls_key_file = "only-a-key"});
  refuses({.port = 0, .n_io_threads = 0});
}

TEST(Server, EndsBeforeItBegan) {
  ServerOptions options;
  options.port = 0;
  const Server never_started(options, echo_router());
  EXPECT_GT(never_started.port(), 0);
}

}  // namespace
}  // namespace foretoken::http
