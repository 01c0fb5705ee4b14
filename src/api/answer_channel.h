// The way from an answer in the making to its client: one JSON object, or an event stream that
// begins when work on the prompt begins. Knows the rules for errors: before the stream begins they
// are ordinary answers, later they are its last record.
#pragma once

#include <exception>
#include <string_view>

#include "api/context.h"
#include "http/exchange.h"

namespace foretoken::api {

/// Not thread safe by itself: whoever owns it guards it.
class AnswerChannel {
 public:
  AnswerChannel(http::ExchangePtr exchange, bool stream, double ping_seconds);

  bool stream() const { return stream_; }
  /// Nothing more can be sent: finished, failed, or nobody reads.
  bool over() const { return over_; }
  /// Headers of the stream go out. Nothing happens the second time, or without a stream.
  void begin();
  /// One record of the stream.
  void send(const Json& record);
  /// Ends the stream with `tail` as its last bytes.
  void finish(std::string_view tail);
  /// The whole answer, without a stream.
  void respond(const Json& answer);
  void fail(const std::exception& error);
  /// Gives up without a word: the caller answers. False when the stream has begun.
  bool abandon();
  /// The reader does not keep up: records may be merged.
  bool slow() const;

  const http::Exchange& exchange() const { return *exchange_; }

 private:
  const http::ExchangePtr exchange_;
  const bool stream_;
  const double ping_seconds_;
  bool begun_ = false;
  bool over_ = false;
};

}  // namespace foretoken::api
