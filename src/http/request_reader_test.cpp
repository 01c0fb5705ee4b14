// Requests from bytes, in all ways of cutting them.
#include "http/request_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "http/field.h"

namespace foretoken::http {
namespace {

using Phase = RequestReader::Phase;
using testing::HasSubstr;

struct Outcome {
  Phase phase = Phase::Head;
  RequestHead head;
  std::string body;
  RequestReader::Failure failure;
  std::string rest;  ///< not used
};

/// Feeds `bytes` in pieces of `step`, as a connection does.
Outcome read(std::string_view bytes, std::size_t step = 1 << 20,
             RequestReader::Limits limits = {}) {
  RequestReader reader(limits);
  std::string input;
  while (reader.phase() == Phase::Head || reader.phase() == Phase::Body) {
    const std::size_t used = reader.feed(input);
    input.erase(0, used);
    if (used > 0) continue;
    if (bytes.empty() || reader.phase() == Phase::Done || reader.phase() == Phase::Failed) break;
    input += bytes.substr(0, step);
    bytes.remove_prefix(std::min(step, bytes.size()));
  }
  return {.phase = reader.phase(),
          .head = reader.head(),
          .body = reader.take_body(),
          .failure = reader.failure(),
          .rest = input + std::string(bytes)};
}

TEST(RequestReader, ReadsTheSameHoweverItIsCut) {
  const std::string bytes =
      "POST /a?b HTTP/1.1\r\nHost: x\r\nX-Y:  z \r\nContent-Length: 5\r\n\r\nhelloGET";
  for (const std::size_t step : {1UL, 2UL, 3UL, 7UL, 50UL, 1000UL}) {
    const Outcome out = read(bytes, step);
    ASSERT_EQ(out.phase, Phase::Done) << step << " " << out.failure.message;
    EXPECT_EQ(out.head.method, "POST");
    EXPECT_EQ(out.head.target, "/a?b");
    EXPECT_EQ(find_header(out.head.headers, "x-y"), "z");
    EXPECT_EQ(out.head.content_length, 5U);
    EXPECT_EQ(out.body, "hello");
    EXPECT_EQ(out.rest, "GET") << step;
    EXPECT_TRUE(out.head.keep_alive);
  }
}

TEST(RequestReader, ReadsChunksHoweverTheyAreCut) {
  const std::string bytes =
      "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
      "5\r\nhello\r\n00A;ext=\"1\"\r\n, world!!!\r\n0\r\nT: 1\r\n\r\nGET";
  for (const std::size_t step : {1UL, 2UL, 3UL, 7UL, 50UL, 1000UL}) {
    const Outcome out = read(bytes, step);
    ASSERT_EQ(out.phase, Phase::Done) << step << " " << out.failure.message;
    EXPECT_EQ(out.body, "hello, world!!!");
    EXPECT_TRUE(out.head.chunked);
    EXPECT_EQ(out.rest, "GET");
    EXPECT_EQ(find_header(out.head.headers, "T"), "") << "a trailer is no header";
  }
}

TEST(RequestReader, EndsWithTheHeadWithoutABody) {
  EXPECT_EQ(read("GET / HTTP/1.1\r\n\r\nGET").rest, "GET");
  EXPECT_EQ(read("POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\nGET").rest, "GET");
}

TEST(RequestReader, OverlooksAFewEmptyLines) {
  EXPECT_EQ(read("\r\n\r\nGET / HTTP/1.1\r\n\r\n", 1).phase, Phase::Done);
  EXPECT_EQ(read("\r\n\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n", 1).phase, Phase::Failed);
}

TEST(RequestReader, JudgesNoiseByItsFirstByte) {
  EXPECT_EQ(read("\x16").failure.status, 400);
  EXPECT_EQ(read(" GET / HTTP/1.1\r\n\r\n").failure.status, 400);
}

TEST(RequestReader, BoundsTheHead) {
  const RequestReader::Limits limits{.max_header_bytes = 1024, .max_body_bytes = 100};
  const std::string field = "X: " + std::string(2000, 'x') + "\r\n";
  EXPECT_EQ(read("GET / HTTP/1.1\r\n" + field, 100, limits).failure.status, 431);
  EXPECT_EQ(read("GET / HTTP/1.1\r\n" + field + "\r\n", 1 << 20, limits).failure.status, 431);
}

TEST(RequestReader, BoundsBodiesByLengthAndByChunks) {
  const RequestReader::Limits limits{.max_header_bytes = 1024, .max_body_bytes = 100};
  EXPECT_EQ(read("POST / HTTP/1.1\r\nContent-Length: 101\r\n\r\n", 1 << 20, limits).failure.status,
            413);
  std::string chunks = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 11; ++i) chunks += "A\r\n0123456789\r\n";
  EXPECT_EQ(read(chunks, 7, limits).failure.status, 413);
}

TEST(RequestReader, BoundsLinesBetweenChunks) {
  const RequestReader::Limits limits{.max_header_bytes = 1024, .max_body_bytes = 100};
  const std::string head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(read(head + "1;" + std::string(3000, 'x'), 100, limits).failure.status, 431);
  EXPECT_EQ(read(head + "0\r\nT: " + std::string(3000, 'x'), 100, limits).failure.status, 431);
}

TEST(RequestReader, RemembersWhatTheConnectionShouldDo) {
  EXPECT_FALSE(read("GET / HTTP/1.1\r\nConnection: close\r\n\r\n").head.keep_alive);
  EXPECT_FALSE(read("GET / HTTP/1.0\r\n\r\n").head.keep_alive);
  EXPECT_TRUE(read("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").head.keep_alive);
  EXPECT_TRUE(read("POST / HTTP/1.1\r\nContent-Length: 0\r\nExpect: 100-Continue\r\n\r\n")
                  .head.expects_continue);
  EXPECT_FALSE(read("POST / HTTP/1.0\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n")
                   .head.expects_continue);
}

TEST(RequestReader, NeverReservesWhatALengthPromises) {
  RequestReader reader({.max_header_bytes = 1024, .max_body_bytes = std::size_t{1} << 60});
  const std::string head = "POST / HTTP/1.1\r\nContent-Length: 1000000000000000000\r\n\r\n";
  EXPECT_EQ(reader.feed(head), head.size());
  EXPECT_EQ(reader.phase(), Phase::Body);
  EXPECT_EQ(reader.feed("abc"), 3U);
  EXPECT_EQ(reader.phase(), Phase::Body);
}

}  // namespace
}  // namespace foretoken::http
