// Which route answers what.
#include "http/router.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace foretoken::http {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Handler nothing() {
  return [](const ExchangePtr&) {};
}

TEST(Router, FindsPathsAndParameters) {
  Router router;
  router.add("GET", "/", nothing());
  router.add("GET", "/slots", nothing(), {.open = true});
  router.add("POST", "/slots/{id}/{what}", nothing(), {.immediate = true});
  std::vector<std::string> others;
  EXPECT_TRUE(router.find("GET", "/", others));
  EXPECT_TRUE(router.find("GET", "/slots", others)->options.open);
  const auto match = router.find("POST", "/slots/7/save", others);
  ASSERT_TRUE(match);
  EXPECT_TRUE(match->options.immediate);
  EXPECT_EQ(match->parameters.at("id"), "7");
  EXPECT_EQ(match->parameters.at("what"), "save");
  for (const char* path : {"/slots/7", "/slots/7/save/x", "/slots//save", "/slots/7/", "/SLOTS"}) {
    EXPECT_FALSE(router.find("POST", path, others)) << path;
  }
}

TEST(Router, TellsUnknownPathsFromUnknownMethods) {
  Router router;
  router.add("GET", "/a", nothing());
  router.add("POST", "/a", nothing());
  router.add("DELETE", "/{any}", nothing());
  std::vector<std::string> others;
  EXPECT_FALSE(router.find("PUT", "/a", others));
  EXPECT_THAT(others, ElementsAre("GET", "POST", "DELETE"));
  EXPECT_FALSE(router.find("PUT", "/a/b", others));
  EXPECT_THAT(others, IsEmpty());
}

TEST(Router, TheFallbackTakesWhatNoPatternKnows) {
  Router router;
  router.add("GET", "/a", nothing());
  router.set_fallback(nothing(), {.open = true});
  std::vector<std::string> others;
  EXPECT_TRUE(router.find("GET", "/page.html", others)->options.open);
  EXPECT_FALSE(router.find("POST", "/a", others)) << "a known path with another method is an error";
}

TEST(Router, AnswersHeadWithTheRouteOfGet) {
  Router router;
  router.add("GET", "/a", nothing(), {.open = true});
  router.add("HEAD", "/b", nothing());
  router.add("GET", "/b", nothing(), {.open = true});
  std::vector<std::string> others;
  EXPECT_TRUE(router.find("HEAD", "/a", others)->options.open);
  EXPECT_FALSE(router.find("HEAD", "/b", others)->options.open) << "its own route comes first";
}

TEST(Router, WritesErrorsAsJsonWhateverTheirText) {
  const Response error = Router().error("/", 400, "t", "a \"b\" \\ \n \x01 \xFF \xC3\xBC");
  EXPECT_EQ(error.status, 400);
  EXPECT_EQ(error.body,
            "{\"error\":{\"code\":400,\"message\":\"a \\\"b\\\" \\\\ \\u000a \\u0001 \xEF\xBF\xBD "
            "\xC3\xBC\",\"type\":\"t\"}}");
}

TEST(Router, WritesErrorsEvenWhenTheirFormatFails) {
  Router router;
  router.set_error_format([](auto...) -> Response { throw std::runtime_error("no"); });
  EXPECT_THAT(router.error("/", 404, "t", "m").body, HasSubstr(R"("message":"m")"));
}

}  // namespace
}  // namespace foretoken::http
