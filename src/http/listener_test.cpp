// Addresses to listen on, good and bad.
#include "http/listener.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "http/test_server.h"

namespace foretoken::http {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

Router hello() {
  Router router;
  router.add("GET", "/", [](const ExchangePtr& exchange) {
    exchange->respond(text_response(exchange->request().peer));
  });
  return router;
}

std::string error_of(const ServerOptions& options) {
  try {
    const Server server(options, hello());
  } catch (const IoError& error) {
    return error.what();
  }
  return "no error";
}

class UnixListener : public testing::Test {
 protected:
  void SetUp() override { fs::create_directories(folder_); }
  void TearDown() override { fs::remove_all(folder_); }
  ServerOptions options() const { return {.hosts = {path_}}; }
  const std::string folder_ =
      testing::TempDir() + "ft_sock_" + std::to_string(static_cast<long>(::getpid()));
  const std::string path_ = folder_ + "/a.sock";
};

TEST(Listener, NamesItsUrls) {
  TestServer server(hello(), {.hosts = {"127.0.0.1", "localhost"}});
  const std::string port = std::to_string(server->port());
  // The second host is the same address, unless it also has an IPv6 one.
  EXPECT_EQ(server->urls().front(), "http://127.0.0.1:" + port);
  EXPECT_GT(server->port(), 0);
}

TEST(Listener, ListensOnEveryHost) {
  TestServer server(hello(), {.hosts = {"127.0.0.1", "127.0.0.2"}});
  EXPECT_EQ(server->urls().size(), 2U);
  EXPECT_EQ(server.client().get("/").body, "127.0.0.1") << "without the port of the connection";
}

TEST(Listener, ListensOnIpv6) {
  const int probe = ::socket(AF_INET6, SOCK_STREAM, 0);
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_loopback;
  const bool possible =
      probe >= 0 && ::bind(probe, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  if (probe >= 0) ::close(probe);
  if (!possible) GTEST_SKIP() << "this machine has no IPv6";
  for (const char* host : {"::1", "[::1]"}) {
    TestServer server(hello(), {.hosts = {host}});
    EXPECT_THAT(server->urls(), ElementsAre("http://[::1]:" + std::to_string(server->port())));
  }
  // Both families by one socket.
  TestServer both(hello(), {.hosts = {"::"}});
  EXPECT_EQ(both.client().get("/").status, 200);
}

TEST(Listener, SaysWhoHasThePort) {
  TestServer first(hello());
  const std::string port = std::to_string(first->port());
  const std::string error = error_of({.port = first->port()});
  EXPECT_THAT(error, HasSubstr("cannot listen on 127.0.0.1:" + port + ": Address already in use"));
  EXPECT_THAT(error, HasSubstr("ss -ltnp"));
}

TEST(Listener, SharesAPortWhenAskedTo) {
  ServerOptions options{.port = 0, .reuse_port = true};
  const Server first(options, hello());
  options.port = first.port();
  EXPECT_NO_THROW(Server(options, hello()));
}

TEST(Listener, SaysWhichHostItDoesNotKnow) {
  EXPECT_THAT(error_of({.hosts = {"no.such.host.invalid"}, .port = 0}),
              HasSubstr("'no.such.host.invalid'"));
  EXPECT_THAT(error_of({.hosts = {"192.0.2.1"}, .port = 0}), HasSubstr("192.0.2.1"));
}

TEST_F(UnixListener, AnswersAndGoesAwayAfterwards) {
  {
    Server server(options(), hello());
    server.start();
    EXPECT_THAT(server.urls(), ElementsAre("unix:" + path_));
    RawClient client(path_);
    EXPECT_EQ(client.get("/").body, "unix");
  }
  EXPECT_FALSE(fs::exists(path_));
}

TEST_F(UnixListener, ReplacesTheSocketOfADeadServer) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path_.data(), path_.size());
  const int dead = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(::bind(dead, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ::close(dead);
  ASSERT_TRUE(fs::exists(path_));
  Server server(options(), hello());
  server.start();
  EXPECT_EQ(RawClient(path_).get("/").status, 200);
}

TEST_F(UnixListener, LeavesTheSocketOfALivingServerAlone) {
  Server server(options(), hello());
  server.start();
  EXPECT_THAT(error_of(options()), HasSubstr("another program answers there"));
  EXPECT_EQ(RawClient(path_).get("/").status, 200);
}

TEST_F(UnixListener, LeavesOtherFilesAlone) {
  std::ofstream(path_) << "precious";
  EXPECT_THAT(error_of(options()), HasSubstr("no socket"));
  EXPECT_EQ(fs::file_size(path_), 8U);
}

TEST_F(UnixListener, SaysWhenAPathIsTooLong) {
  EXPECT_THAT(error_of({.hosts = {folder_ + "/" + std::string(200, 'x') + ".sock"}}),
              HasSubstr("at most 107 bytes"));
}

}  // namespace
}  // namespace foretoken::http
