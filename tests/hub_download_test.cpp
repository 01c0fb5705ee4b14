// Downloads from a hub that runs on this machine: whole, interrupted, damaged, private, offline.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "http/server.h"
#include "hub/fetch_model.h"
#include "release/sha256.h"
#include "toolchain.h"

namespace foretoken::tests {
namespace {

using testing::HasSubstr;
using Json = nlohmann::ordered_json;

/// A hub with one repository, u/m, that holds one file.
class Hub {
 public:
  Hub() : server_(options(), router()) { server_.start(); }

  std::string url() const { return server_.urls().front(); }

  std::string content = std::string(300'000, 'x') + "end";
  std::string sha256;                     ///< announced; empty: the true one
  std::string token;                      ///< wanted; empty: none
  std::string next_page;                  ///< of the list; empty: it is the last
  std::atomic<std::size_t> cut_after{0};  ///< > 0: the next answer ends after that many bytes
  std::atomic<int> n_lists{0};
  std::atomic<int> n_downloads{0};
  std::string authorization_of_list;
  std::string last_range;

 private:
  static http::ServerOptions options() {
    http::ServerOptions out;
    out.port = 0;
    return out;
  }

  http::Router router() {
    http::Router out;
    out.add("GET", "/api/models/{user}/{model}/tree/main",
            [this](const http::ExchangePtr& exchange) { list(*exchange); });
    out.add("GET", "/{user}/{model}/resolve/main/{file}",
            [this](const http::ExchangePtr& exchange) { download(*exchange); });
    return out;
  }

  bool allowed(http::Exchange& exchange) const {
    if (token.empty() || exchange.request().header("authorization") == "Bearer " + token)
      return true;
    exchange.respond({.status = 401, .body = "{}"});
    return false;
  }

  void list(http::Exchange& exchange) {
    ++n_lists;
    authorization_of_list = exchange.request().header("authorization");
    if (!allowed(exchange)) return;
    if (exchange.request().parameters.at("model") != "m") {
      exchange.respond({.status = 404, .body = "{}"});
      return;
    }
    const std::string oid = sha256.empty() ? release::to_hex(release::sha256(content)) : sha256;
    const Json body = Json::array({{{"type", "file"},
                                    {"path", "m-Q4_K_M.gguf"},
                                    {"size", content.size()},
                                    {"lfs", {{"oid", oid}, {"size", content.size()}}}}});
    http::Headers headers;
    if (!next_page.empty()) headers.emplace_back("Link", "<" + next_page + ">; rel=\"next\"");
    exchange.respond({.headers = headers, .body = body.dump()});
  }

  void download(http::Exchange& exchange) {
    if (!allowed(exchange)) return;
    ++n_downloads;
    last_range = exchange.request().header("range");
    const std::size_t from =
        last_range.starts_with("bytes=") ? std::stoul(last_range.substr(6)) : 0;
    std::string body = content.substr(from);
    if (const std::size_t cut = cut_after.exchange(0)) body.resize(cut);
    exchange.respond({.status = from > 0 ? 206 : 200,
                      .content_type = "application/octet-stream",
                      .body = std::move(body)});
  }

  http::Server server_;
};

struct HubTest : testing::Test {
  Hub hub;
  ScratchFolder folder;

  hub::FetchOptions options() {
    hub::FetchOptions out;
    out.endpoint = hub.url();
    out.folder = folder.path();
    return out;
  }
  hub::FetchedModel fetch(const char* name = "u/m") {
    return hub::fetch_model(name, "", options());
  }
};

TEST_F(HubTest, AModelComesOnceAndIsKept) {
  const hub::FetchedModel first = fetch();
  EXPECT_EQ(read_file(first.model_path), hub.content);
  EXPECT_EQ(first.projector_path, "");
  EXPECT_EQ(fetch().model_path, first.model_path);
  EXPECT_EQ(hub.n_downloads, 1);
  hub::FetchOptions offline = options();
  offline.offline = true;
  offline.endpoint = "http://127.0.0.1:1";
  EXPECT_EQ(hub::fetch_model("u/m", "", offline).model_path, first.model_path);
}

TEST_F(HubTest, ABrokenDownloadGoesOnWhereItStopped) {
  hub.cut_after = 100'000;
  EXPECT_THROW(fetch(), IoError);
  EXPECT_FALSE(std::filesystem::exists(folder.path() + "/u--m/m-Q4_K_M.gguf"));
  const hub::FetchedModel model = fetch();
  EXPECT_EQ(hub.last_range, "bytes=100000-");
  EXPECT_EQ(read_file(model.model_path), hub.content);
}

TEST_F(HubTest, ADamagedDownloadIsDroppedInWords) {
  hub.sha256 = std::string(64, '0');
  try {
    fetch();
    FAIL();
  } catch (const FormatError& error) {
    EXPECT_THAT(error.what(), HasSubstr("SHA-256"));
  }
  EXPECT_FALSE(std::filesystem::exists(folder.path() + "/u--m/m-Q4_K_M.gguf"));
  EXPECT_FALSE(std::filesystem::exists(folder.path() + "/u--m/m-Q4_K_M.gguf.unfinished"));
}

TEST_F(HubTest, APrivateOneWantsItsToken) {
  hub.token = "secret";
  try {
    fetch();
    FAIL();
  } catch (const RequestError& error) {
    EXPECT_THAT(error.what(), HasSubstr("HF_TOKEN"));
  }
  hub::FetchOptions with_token = options();
  with_token.token = "secret";
  EXPECT_EQ(read_file(hub::fetch_model("u/m", "", with_token).model_path), hub.content);
}

TEST_F(HubTest, TheTokenGoesToNobodyElse) {
  Hub other;
  hub.token = "secret";
  hub.next_page = other.url() + "/api/models/u/m/tree/main";
  hub::FetchOptions with_token = options();
  with_token.token = "secret";
  hub::fetch_model("u/m", "", with_token);
  EXPECT_EQ(hub.authorization_of_list, "Bearer secret");
  EXPECT_EQ(other.n_lists, 1);
  EXPECT_EQ(other.authorization_of_list, "");
}

TEST_F(HubTest, WhatIsNotThereIsSaid) {
  EXPECT_THROW(fetch("u/other"), RequestError);
  EXPECT_THROW(fetch("u/m:Q8_0"), RequestError);
  hub::FetchOptions nobody = options();
  nobody.endpoint = "http://127.0.0.1:1";
  EXPECT_THROW(hub::fetch_model("u/m", "", nobody), IoError);
  nobody.offline = true;
  EXPECT_THROW(hub::fetch_model("u/m", "", nobody), RequestError);
}

TEST_F(HubTest, StoppingLeavesTheUnfinishedFile) {
  hub::FetchOptions stopping = options();
  stopping.progress = [](std::size_t, std::size_t, std::string_view) { return false; };
  EXPECT_THROW(hub::fetch_model("u/m", "", stopping), Cancelled);
  EXPECT_EQ(read_file(fetch().model_path), hub.content);
}

}  // namespace
}  // namespace foretoken::tests
