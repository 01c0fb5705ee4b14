// See answer_channel.h.
#include "api/answer_channel.h"

#include <string>
#include <utility>

#include "api/errors.h"
#include "api/handler.h"
#include "api/json_output.h"

namespace foretoken::api {
namespace {

/// A socket with so many bytes to take is not writable, whatever it was a moment ago.
constexpr std::size_t kSlowReaderBytes = std::size_t{64} << 10;

}  // namespace

AnswerChannel::AnswerChannel(http::ExchangePtr exchange, bool stream, double ping_seconds)
    : exchange_(std::move(exchange)), stream_(stream), ping_seconds_(ping_seconds) {}

void AnswerChannel::begin() {
  if (!stream_ || over_ || std::exchange(begun_, true)) return;
  exchange_->begin_stream(event_stream(ping_seconds_));
}

void AnswerChannel::send(const Json& record) {
  if (over_) return;
  begin();
  if (!exchange_->write(sse_record(record))) over_ = true;  // gone; on_close cancels
}

void AnswerChannel::finish(std::string_view tail) {
  if (over_) return;
  begin();
  over_ = true;
  if (!tail.empty()) exchange_->write(std::string(tail));
  exchange_->end_stream();
}

void AnswerChannel::respond(const Json& answer) {
  if (std::exchange(over_, true)) return;
  exchange_->respond(json_response(answer));
}

void AnswerChannel::fail(const std::exception& error) {
  if (std::exchange(over_, true)) return;
  if (!begun_) {
    exchange_->respond(error_response(error));
    return;
  }
  exchange_->write(sse_record(error_json(error)));
  exchange_->end_stream();
}

bool AnswerChannel::abandon() {
  if (begun_) return false;
  over_ = true;
  return true;
}

bool AnswerChannel::slow() const { return exchange_->backlog() > kSlowReaderBytes; }

}  // namespace foretoken::api
