// The page's files over HTTP: what is sent, what is not, and that a folder gives out nothing beside
// itself.
#include "api/page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "api/page_files.h"
#include "api/static_content.h"
#include "api/static_folder.h"
#include "base/error.h"

namespace foretoken::api {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

/// Keeps the answer.
class RecordedExchange : public http::Exchange {
 public:
  explicit RecordedExchange(http::Request request) : request_(std::move(request)) {}
  const http::Request& request() const override { return request_; }
  void respond(http::Response response) override { answer = std::move(response); }
  void begin_stream(http::StreamOptions) override { FAIL() << "files are not streamed"; }
  bool write(std::string) override { return false; }
  void end_stream() override {}
  std::size_t backlog() const override { return 0; }
  void on_close(std::function<void()>) override {}
  bool closed() const override { return false; }

  http::Response answer;

 private:
  http::Request request_;
};

http::Response get(const http::Router& router, const std::string& path, http::Headers headers = {},
                   const std::string& method = "GET") {
  std::vector<std::string> other_methods;
  const auto match = router.find(method, path, other_methods);
  EXPECT_TRUE(match.has_value()) << path;
  EXPECT_TRUE(match->options.open) << path;
  http::Request request;
  request.method = method;
  request.path = path;
  request.headers = std::move(headers);
  const auto exchange = std::make_shared<RecordedExchange>(std::move(request));
  (*match->handler)(exchange);
  return exchange->answer;
}

std::string header(const http::Response& response, std::string_view name) {
  for (const auto& [key, value] : response.headers) {
    if (key == name) return value;
  }
  return {};
}

http::Router router_with(const PageOptions& options) {
  http::Router router;
  add_page_routes(router, options);
  return router;
}

/// A folder that is gone afterwards: page files, hidden ones, links, a secret beside it.
class FolderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    top_ = fs::temp_directory_path() / (std::string("foretoken-page-") + info->name());
    fs::remove_all(top_);
    fs::create_directories(top_ / "site" / "sub");
    write("site/index.html", "<p>mine</p>");
    write("site/sub/a.js", "let a;");
    write("site/.env", "KEY=secret");
    write("secret.txt", "secret");
    fs::create_symlink(top_ / "secret.txt", top_ / "site" / "out.txt");
    fs::create_symlink(top_ / "site" / "sub" / "a.js", top_ / "site" / "in.js");
    fs::create_directory_symlink(top_, top_ / "site" / "up");
  }
  void TearDown() override { fs::remove_all(top_); }

  void write(const std::string& path, const std::string& text) const {
    std::ofstream(top_ / path, std::ios::binary) << text;
  }
  std::string site() const { return (top_ / "site").string(); }

  fs::path top_;
};

TEST(Page, RootIsTheEmbeddedPage) {
  const http::Response answer = get(router_with({}), "/");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.content_type, "text/html; charset=utf-8");
  EXPECT_THAT(answer.body, StartsWith("<!doctype html>"));
  EXPECT_THAT(answer.body, HasSubstr("./page.js"));
  EXPECT_EQ(get(router_with({}), "/index.html").body, answer.body);
}

TEST(Page, EveryEmbeddedFileComesWholeInBothForms) {
  ASSERT_GE(page_files().size(), 4U);
  const http::Router router = router_with({});
  for (const PageFile& file : page_files()) {
    const std::string path(file.path);
    std::ifstream built(std::string(FORETOKEN_SOURCE_DIR) + "/web/dist" + path, std::ios::binary);
    const std::string wanted{std::istreambuf_iterator<char>(built), {}};
    const http::Response plain = get(router, path);
    EXPECT_EQ(plain.body, wanted) << path;
    EXPECT_EQ(header(plain, "Content-Encoding"), "") << path;
    const http::Response small = get(router, path, {{"accept-encoding", "br, gzip;q=0.8"}});
    EXPECT_EQ(header(small, "Content-Encoding"), "gzip") << path;
    EXPECT_THAT(small.body, StartsWith("\x1f\x8b")) << path;
    EXPECT_EQ(header(small, "Vary"), "Accept-Encoding") << path;
    // A gzip member ends with the length of what it holds.
    ASSERT_GE(small.body.size(), 18U) << path;
    std::size_t length = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      length |= std::size_t{static_cast<unsigned char>(small.body[small.body.size() - 4 + i])}
                << (8 * i);
    }
    EXPECT_EQ(length, wanted.size()) << path;
  }
}

TEST(Page, ScriptsAndStylesHaveTheirTypes) {
  const http::Router router = router_with({});
  EXPECT_EQ(get(router, "/page.js").content_type, "text/javascript; charset=utf-8");
  EXPECT_EQ(get(router, "/page.css").content_type, "text/css; charset=utf-8");
  EXPECT_EQ(get(router, "/icon.svg").content_type, "image/svg+xml");
}

TEST(Page, ThePolicyAllowsNothingInlineAndNoOtherServer) {
  const http::Response answer = get(router_with({}), "/");
  const std::string policy = header(answer, "Content-Security-Policy");
  for (const char* rule : {"default-src 'none'", "script-src 'self'", "style-src 'self'",
                           "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"}) {
    EXPECT_THAT(policy, HasSubstr(rule));
  }
  EXPECT_THAT(policy, Not(HasSubstr("unsafe")));
  EXPECT_THAT(policy, Not(HasSubstr("http")));
  EXPECT_EQ(header(answer, "X-Content-Type-Options"), "nosniff");
  EXPECT_EQ(header(answer, "Referrer-Policy"), "no-referrer");
  // The page itself must live by it.
  EXPECT_THAT(answer.body, Not(HasSubstr("<style")));
  EXPECT_THAT(answer.body, Not(HasSubstr("style=")));
  EXPECT_THAT(answer.body, Not(HasSubstr("http:")));
  EXPECT_THAT(answer.body, Not(HasSubstr("https:")));
}

TEST(Page, ACopyThatIsStillGoodIsNotSentAgain) {
  const http::Router router = router_with({});
  const std::string etag = header(get(router, "/page.js"), "ETag");
  ASSERT_THAT(etag, StartsWith("W/\""));
  const http::Response again = get(router, "/page.js", {{"If-None-Match", "\"x\", " + etag}});
  EXPECT_EQ(again.status, 304);
  EXPECT_EQ(again.body, "");
  EXPECT_EQ(header(again, "ETag"), etag);
  EXPECT_EQ(get(router, "/page.js", {{"If-None-Match", "W/\"other\""}}).status, 200);
  EXPECT_EQ(header(get(router, "/page.js"), "Cache-Control"), "no-cache");
}

TEST(Page, OtherPathsAndMethodsAreNotFound) {
  const http::Router router = router_with({});
  for (const char* path :
       {"/nothing", "/page.js/", "//page.js", "/../page.js", "/PAGE.JS", "/api"}) {
    const http::Response answer = get(router, path);
    EXPECT_EQ(answer.status, 404) << path;
    EXPECT_EQ(answer.body,
              R"({"error":{"code":404,"message":"File Not Found","type":"not_found_error"}})");
  }
  EXPECT_EQ(get(router, "/", {}, "POST").status, 404);
  EXPECT_EQ(get(router, "/", {}, "HEAD").status, 200);
}

TEST(Page, WithoutUiThereIsNone) {
  const http::Router router = router_with({.enabled = false, .static_path = {}});
  for (const char* path : {"/", "/index.html", "/page.js"}) {
    EXPECT_EQ(get(router, path).status, 404) << path;
  }
}

TEST_F(FolderTest, FilesOfTheFolderReplaceThePage) {
  const http::Router router = router_with({.enabled = true, .static_path = site()});
  EXPECT_EQ(get(router, "/").body, "<p>mine</p>");
  EXPECT_EQ(get(router, "/sub/a.js").body, "let a;");
  EXPECT_EQ(get(router, "/sub/a.js").content_type, "text/javascript; charset=utf-8");
  EXPECT_EQ(get(router, "/in.js").body, "let a;");  // a link that stays inside
  EXPECT_EQ(get(router, "/page.js").status, 404);   // the built-in page is not mixed in
  const std::string etag = header(get(router, "/"), "ETag");
  EXPECT_EQ(get(router, "/", {{"If-None-Match", etag}}).status, 304);
  write("site/index.html", "<p>longer now</p>");
  EXPECT_EQ(get(router, "/", {{"If-None-Match", etag}}).body, "<p>longer now</p>");
}

TEST_F(FolderTest, NothingBesideTheFolderIsGivenOut) {
  const http::Router router = router_with({.enabled = true, .static_path = site()});
  for (const std::string path : {"/../secret.txt",
                                 "/sub/../../secret.txt",
                                 "/..",
                                 "/.",
                                 "/./index.html",
                                 "/.env",
                                 "//",
                                 "//index.html",
                                 "/sub//a.js",
                                 "/out.txt",
                                 "/up/secret.txt",
                                 "/up/site/index.html/x",
                                 "/sub",
                                 "/sub/",
                                 "/..\\secret.txt",
                                 "/sub\\a.js",
                                 "/index.html/",
                                 "/sub/a.js/index.html",
                                 "index.html",
                                 ""}) {
    const http::Response answer = get(router, path);
    EXPECT_EQ(answer.status, 404) << path;
    EXPECT_THAT(answer.body, Not(HasSubstr("secret"))) << path;
  }
  EXPECT_EQ(get(router, std::string("/index.html\0.js", 15)).status, 404);
  EXPECT_EQ(get(router, "/" + std::string(100'000, 'a')).status, 404);
  EXPECT_EQ(get(router, "/" + std::string(100'000, '/')).status, 404);
}

TEST_F(FolderTest, AFolderThatIsNotThereIsRefusedByName) {
  try {
    router_with({.enabled = true, .static_path = site() + "/missing"});
    FAIL() << "accepted";
  } catch (const IoError& error) {
    EXPECT_THAT(error.what(), HasSubstr("missing"));
    EXPECT_THAT(error.what(), HasSubstr("--path"));
  }
  EXPECT_THROW(router_with({.enabled = true, .static_path = site() + "/index.html"}), IoError);
}

TEST_F(FolderTest, ALinkedRootIsTheFolderItLeadsTo) {
  fs::create_directory_symlink(top_ / "site", top_ / "link");
  const StaticFolder folder((top_ / "link").string());
  const auto file = folder.find("/sub/a.js");
  ASSERT_TRUE(file.has_value());
  EXPECT_EQ(StaticFolder::read(*file), "let a;");
}

TEST(StaticContent, GzipIsSentOnlyToThoseWhoListIt) {
  for (const char* yes : {"gzip", "GZIP", "deflate, gzip", "br;q=1.0, gzip;q=0.5", "*", "*;q=0.1",
                          "gzip ; q=1", "x-gzip", "gzip;q=0.001"}) {
    EXPECT_TRUE(accepts_gzip(yes)) << yes;
  }
  for (const char* no : {"", "br", "identity", "gzip;q=0", "gzip; q=0.0", "gzip;q=0, *", "*;q=0",
                         "gzipped", "gzip2,br", ";,;", "gzip;q="}) {
    EXPECT_FALSE(accepts_gzip(no)) << no;
  }
}

TEST(StaticContent, EntityTagsCompareWeakly) {
  EXPECT_TRUE(has_copy("W/\"a\"", "W/\"a\""));
  EXPECT_TRUE(has_copy("\"a\"", "W/\"a\""));
  EXPECT_TRUE(has_copy("\"b\" , W/\"a\"", "W/\"a\""));
  EXPECT_TRUE(has_copy("*", "W/\"a\""));
  EXPECT_FALSE(has_copy("", "W/\"a\""));
  EXPECT_FALSE(has_copy("a", "W/\"a\""));
  EXPECT_FALSE(has_copy("\"b\"", "W/\"a\""));
}

}  // namespace
}  // namespace foretoken::api
