#include "hub/http_get.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <exception>
#include <memory>
#include <string_view>

#include "base/error.h"

namespace foretoken::hub {
namespace {

constexpr long kConnectSeconds = 20;
// A transfer slower than this for that long is dead.
constexpr long kLeastBytesPerSecond = 100;
constexpr long kPatienceSeconds = 60;

struct Transfer {
  CURL* handle = nullptr;
  const BodySink* sink = nullptr;
  GetResult result;
  bool stopped = false;
  std::exception_ptr error;
};

std::size_t take_body(char* data, std::size_t, std::size_t size, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  long status = 0;
  curl_easy_getinfo(transfer.handle, CURLINFO_RESPONSE_CODE, &status);
  if (status < 200 || status > 299) return size;
  try {
    if ((*transfer.sink)(std::as_bytes(std::span(data, size)), static_cast<int>(status)))
      return size;
    transfer.stopped = true;
  } catch (...) {  // must not pass through C
    transfer.error = std::current_exception();
  }
  return 0;
}

std::size_t take_header(char* data, std::size_t, std::size_t size, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  std::string_view line(data, size);
  constexpr std::string_view kLink = "link:";
  if (line.size() > kLink.size() && (line[0] | 0x20) == 'l' &&
      line.find("rel=\"next\"") != std::string_view::npos) {
    const std::size_t begin = line.find('<');
    const std::size_t end = line.find('>', begin);
    if (begin != std::string_view::npos && end != std::string_view::npos) {
      transfer.result.next_page = line.substr(begin + 1, end - begin - 1);
    }
  }
  return size;
}

struct CurlDelete {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};

}  // namespace

GetResult http_get(const GetRequest& request, const BodySink& sink) {
  const std::unique_ptr<CURL, CurlDelete> handle(curl_easy_init());
  if (!handle) throw IoError("downloading is not possible: libcurl could not be set up");
  CURL* curl = handle.get();
  Transfer transfer{.handle = curl, .sink = &sink, .result = {}, .stopped = false, .error = {}};
  curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "foretoken");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 10L);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  const bool secure = request.url.starts_with("https:");
  curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, secure ? "https" : "http,https");
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, kLeastBytesPerSecond);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, kPatienceSeconds);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &transfer);
  if (!request.token.empty()) {
    curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
    curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, request.token.c_str());
  }
  std::string range;
  if (request.from_byte > 0) {
    range = fmt::format("{}-", request.from_byte);
    curl_easy_setopt(curl, CURLOPT_RANGE, range.c_str());
  }
  char reason[CURL_ERROR_SIZE] = "";
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason);
  const CURLcode code = curl_easy_perform(curl);
  if (transfer.error) std::rethrow_exception(transfer.error);
  if (transfer.stopped)
    throw Cancelled("the download was stopped; the next one goes on from there");
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  if (code != CURLE_OK) {
    throw IoError(
        fmt::format("{}: {}", request.url, reason[0] != '\0' ? reason : curl_easy_strerror(code)));
  }
  transfer.result.status = static_cast<int>(status);
  return transfer.result;
}

}  // namespace foretoken::hub
