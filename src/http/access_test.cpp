// Keys and CORS, alone and in front of a server.
#include "http/access.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "http/field.h"
#include "http/test_server.h"

namespace foretoken::http {
namespace {

using testing::HasSubstr;

TEST(ApiKeys, AcceptsEitherHeader) {
  const ApiKeys keys({"one", "two"});
  EXPECT_EQ(keys.find({{"Authorization", "Bearer one"}}), "one");
  EXPECT_EQ(keys.find({{"authorization", "bearer  two "}}), "two");
  EXPECT_EQ(keys.find({{"Authorization", "one"}}), "one");
  EXPECT_EQ(keys.find({{"X-API-Key", "two"}}), "two");
  EXPECT_EQ(keys.find({{"Authorization", "Bearer wrong"}, {"X-Api-Key", "two"}}), "two");
  EXPECT_EQ(keys.find({{"Authorization", "Bearer one"}, {"X-Api-Key", "wrong"}}), "one");
}

TEST(ApiKeys, RefusesEverythingElse) {
  const ApiKeys keys({"one", "two"});
  EXPECT_FALSE(keys.find({}));
  EXPECT_FALSE(keys.find({{"Authorization", ""}}));
  EXPECT_FALSE(keys.find({{"Authorization", "Bearer "}}));
  EXPECT_FALSE(keys.find({{"Authorization", "Bearer on"}}));
  EXPECT_FALSE(keys.find({{"Authorization", "Bearer onee"}}));
  EXPECT_FALSE(keys.find({{"Authorization", "Basic one"}}));
  EXPECT_FALSE(keys.find({{"X-Api-Key", "Bearer one"}}));
  EXPECT_FALSE(keys.find({{"Cookie", "one"}}));
}

Router keyed_router() {
  Router router;
  const Handler ok = [](const ExchangePtr& exchange) {
    exchange->respond(text_response("key=" + exchange->request().api_key));
  };
  router.add("POST", "/closed", ok);
  router.add("GET", "/open", ok, {.open = true});
  return router;
}

TEST(ApiKeys, StandBeforeEverythingThatIsNotOpen) {
  TestServer server(keyed_router(), {.api_keys = {"k1", "k2"}});
  RawClient client = server.client();
  const RawAnswer refused = client.post("/closed", "body");
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(refused.body, R"({"error":{"code":401,"message":"Invalid API Key",)"
                          R"("type":"authentication_error"}})");
  EXPECT_EQ(client.post("/closed", "", "Authorization: Bearer k2\r\n").body, "key=k2");
  EXPECT_EQ(client.get("/open").body, "key=");
  EXPECT_EQ(client.get("/unknown").status, 401) << "nobody learns which paths there are";
  EXPECT_EQ(client.get("/unknown", "X-Api-Key: k1\r\n").status, 404);
  EXPECT_EQ(client.ask("OPTIONS /closed HTTP/1.1\r\nHost: x\r\n\r\n").status, 200);
}

TEST(ApiKeys, AreAskedForBeforeTheBodyIsRead) {
  TestServer server(keyed_router(), {.api_keys = {"k"}});
  RawClient client = server.client();
  client.send("POST /closed HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n");
  EXPECT_EQ(client.read_answer().status, 401);
}

TEST(Cors, EchoesTheOriginByDefault) {
  const Cors cors{CorsOptions()};
  const Headers headers = cors.answer_headers("https://a.example");
  EXPECT_EQ(find_header(headers, "Access-Control-Allow-Origin"), "https://a.example");
  EXPECT_EQ(find_header(headers, "Access-Control-Allow-Credentials"), "true");
  EXPECT_EQ(find_header(headers, "Vary"), "Origin");
  EXPECT_TRUE(cors.answer_headers("").empty());
}

TEST(Cors, UsesTheWildcardWithoutCredentials) {
  const Cors cors({.credentials = false});
  EXPECT_EQ(find_header(cors.answer_headers("https://a"), "Access-Control-Allow-Origin"), "*");
  EXPECT_EQ(find_header(cors.preflight_headers("https://a"), "Access-Control-Allow-Credentials"),
            "false");
}

TEST(Cors, KnowsLoopbackOrigins) {
  for (const char* origin :
       {"http://localhost", "http://localhost:8080", "https://LOCALHOST", "http://127.0.0.1:3000",
        "http://127.8.9.1", "http://[::1]", "http://[::1]:5173", "http://app.localhost:1"}) {
    EXPECT_TRUE(is_loopback_origin(origin)) << origin;
  }
  for (const char* origin :
       {"http://evil.com", "http://notlocalhost", "http://localhost.evil.com", "localhost", "null",
        "http://127.0.0.1.evil.com", "http://127.evil", "http://[::1].evil.com", "http://[::2]",
        "http://user@localhost", "http://evil.com/localhost", "http://evil.com?.localhost", ""}) {
    EXPECT_FALSE(is_loopback_origin(origin)) << origin;
  }
  const Cors cors({.origins = "localhost"});
  EXPECT_EQ(find_header(cors.answer_headers("http://[::1]:1"), "Access-Control-Allow-Origin"),
            "http://[::1]:1");
  EXPECT_EQ(find_header(cors.answer_headers("http://evil"), "Access-Control-Allow-Origin"), "");
}

TEST(Cors, KeepsToItsList) {
  const Cors cors({.origins = "https://a.example, https://b.example:8443"});
  const auto allowed = [&](std::string_view origin) {
    return std::string(find_header(cors.answer_headers(origin), "Access-Control-Allow-Origin"));
  };
  EXPECT_EQ(allowed("https://a.example"), "https://a.example");
  EXPECT_EQ(allowed("https://b.example:8443"), "https://b.example:8443");
  EXPECT_EQ(allowed("https://b.example"), "");
  EXPECT_EQ(allowed("http://a.example"), "");
}

TEST(Cors, ServerAnswersPreflightsOnAnyPath) {
  TestServer server(keyed_router(), {.prefix = "/api", .api_keys = {"k"}});
  RawClient client = server.client();
  for (const char* target : {"/closed", "/anything", "*"}) {
    const RawAnswer answer = client.ask("OPTIONS " + std::string(target) +
                                        " HTTP/1.1\r\nHost: x\r\nOrigin: http://page\r\n"
                                        "Access-Control-Request-Method: POST\r\n\r\n");
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body, "");
    EXPECT_EQ(answer.headers.at("content-length"), "0");
    EXPECT_EQ(answer.headers.at("access-control-allow-origin"), "http://page");
    EXPECT_EQ(answer.headers.at("access-control-allow-credentials"), "true");
    EXPECT_EQ(answer.headers.at("access-control-allow-methods"), "GET, POST, DELETE, OPTIONS");
    EXPECT_EQ(answer.headers.at("access-control-allow-headers"), "*");
  }
}

TEST(Cors, IsOnErrorsAndStreamsToo) {
  Router router;
  router.add("GET", "/stream", [](const ExchangePtr& exchange) {
    exchange->begin_stream({});
    exchange->end_stream();
  });
  TestServer server(std::move(router));
  RawClient client = server.client();
  for (const char* path : {"/stream", "/unknown", "/%zz"}) {
    EXPECT_EQ(client.get(path, "Origin: http://page\r\n").headers.at("access-control-allow-origin"),
              "http://page")
        << path;
  }
  const RawAnswer broken =
      client.ask("GET / HTTP/1.1\r\nOrigin: http://page\r\nHost: a\r\nHost: b\r\n\r\n");
  EXPECT_EQ(broken.status, 400);
  EXPECT_EQ(broken.headers.at("access-control-allow-origin"), "http://page");
}

}  // namespace
}  // namespace foretoken::http
