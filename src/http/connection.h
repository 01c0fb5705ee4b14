// One connection: a coroutine that reads a request, has it answered, writes the answer, and begins
// again. Everything of a connection happens on its I/O thread, so nothing here is locked; handlers
// reach it through an Answer (http/answer.h).
//
// The coroutine waits for one thing only: its timer. Whatever happens (bytes came, bytes went, a
// handler said something) cancels the timer and so wakes it; it looks at what changed and waits
// again. Each wait thereby has a deadline, and an idle connection costs a few small objects.
// docs/http-server.md describes the states and all limits.
//
// Loops here have a condition, and no co_await stands inside one: GCC 12 was seen to compile
// `for (;;) { ... if (!co_await x && y) co_return ...; }` into a trap.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "http/answer.h"
#include "http/connections.h"
#include "http/field.h"
#include "http/head.h"
#include "http/roll.h"
#include "http/site.h"
#include "http/transport.h"

namespace foretoken::http {

using Clock = std::chrono::steady_clock;

template <class Transport>
class Connection final : public ConnectionBase,
                         public std::enable_shared_from_this<Connection<Transport>> {
 public:
  template <class T = void>
  using Task = asio::awaitable<T, Executor>;

  Connection(Transport transport, Origin origin)
      : transport_(std::move(transport)),
        site_(std::move(origin.site)),
        presence_(std::move(origin.presence)),
        roll_(origin.roll),
        peer_(std::move(origin.peer)),
        timer_(transport_.executor()) {}

  /// On the I/O thread.
  void start() {
    asio::co_spawn(transport_.executor(), run(this->shared_from_this()), asio::detached);
  }

  void wake() override {
    if (waiting_) timer_.cancel();
  }

  void cut_off() override {
    broken_ = true;
    transport_.close();
    wake();
  }

 private:
  using Timer = asio::basic_waitable_timer<Clock, asio::wait_traits<Clock>, Executor>;

  /// Input read ahead of its turn (pipelined requests) is bounded by this beyond a header's size.
  static constexpr std::size_t kReadAhead = 64 << 10;
  /// A refused body up to this size is read to its end, so that the connection can go on.
  static constexpr std::size_t kSkippedBody = 64 << 10;
  /// How long a closed half waits for the other end to close its own. Closing with unread input
  /// would reset the connection, and the answer could be lost on the way.
  static constexpr std::chrono::seconds kLinger{2};
  /// How long an answer is still awaited for a client that closed its sending half.
  static constexpr std::chrono::seconds kHalfClosed{10};
  static constexpr std::chrono::hours kNever{24};

  /// How the request at hand wants to be answered.
  struct Manner {
    bool http_1_1 = true;
    bool head_only = false;
    bool keep_alive = true;
    std::string origin;
  };

  class Enrolment {
   public:
    explicit Enrolment(Connection& connection) : connection_(connection) {
      connection_.roll_.add(connection_);
    }
    ~Enrolment() { connection_.roll_.remove(connection_); }
    Enrolment(const Enrolment&) = delete;
    Enrolment& operator=(const Enrolment&) = delete;

   private:
    Connection& connection_;
  };

  struct Parting {
    Answer& answer;
    ~Parting() { answer.part(); }
  };

  // --- the life of a connection ---

  static Task<> run(std::shared_ptr<Connection> self) {
    const Enrolment enrolment(*self);
    try {
      bool more = co_await self->open();
      while (more) {
        more = co_await self->await_request();
        if (more) more = co_await self->serve();
      }
      co_await self->finish();
    } catch (const std::exception&) {
      // Out of memory, most likely: this connection ends, the others go on.
    }
    self->transport_.close();
  }

  Task<bool> open() {
    if (site_->closing) co_return false;
    transport_.async_open([self = this->shared_from_this()](error_code error) {
      self->opened_ = true;
      if (error) self->broken_ = true;
      self->wake();
    });
    const auto deadline = Clock::now() + site_->options.header_timeout;
    bool in_time = true;
    while (!opened_ && !broken_ && in_time) in_time = co_await wait(deadline);
    if (!in_time) cut_off();
    co_return opened_ && !broken_;
  }

  /// Until the first byte of a request is there. False: the connection is over.
  Task<bool> await_request() {
    const auto deadline = Clock::now() + site_->options.timeout;
    if (input_.empty()) input_ = {};
    while (input_.empty()) {
      if (ended_ || broken_) co_return false;
      // A request that is already on its way is still answered.
      if (site_->draining) co_return transport_.has_input();
      start_read();
      const bool in_time = co_await wait(deadline);
      if (!in_time) co_return false;
    }
    co_return true;
  }

  /// One request and its answer. False: it was the last one.
  Task<bool> serve() {
    const Presence busy(*site_, Site::Count::Busy);
    auto reader = std::make_unique<RequestReader>(
        RequestReader::Limits{.max_header_bytes = site_->options.max_header_bytes,
                              .max_body_bytes = site_->options.max_body_bytes});
    bool complete = co_await read_phase(*reader, RequestReader::Phase::Head,
                                        Clock::now() + site_->options.header_timeout);
    if (!complete || reader->phase() == RequestReader::Phase::Failed) {
      refuse_unread(*reader, complete);
      co_await flush();
      co_return false;
    }
    Manner manner = manner_of(reader->head());
    auto admission = std::make_unique<Admission>(admit(*site_, reader->head()));
    if (admission->refusal) {
      co_await skip_body(*reader, manner);
      queue_response(std::move(*admission->refusal), manner);
      co_await flush();
      co_return manner.keep_alive && !ended_ && !broken_;
    }
    if (reader->phase() == RequestReader::Phase::Body && reader->head().expects_continue) {
      output_.append("HTTP/1.1 100 Continue\r\n\r\n");
      start_write();
    }
    complete = co_await read_phase(*reader, RequestReader::Phase::Body,
                                   Clock::now() + site_->options.timeout);
    if (!complete || reader->phase() == RequestReader::Phase::Failed) {
      refuse_unread(*reader, complete);
      co_await flush();
      co_return false;
    }
    const Presence stream(*site_, Site::Count::Streams);
    const auto answer = make_answer(*reader, *admission);
    const Router::Match match = std::move(admission->match);
    reader.reset();
    admission.reset();
    dispatch(match, answer);
    co_return co_await deliver(answer, manner);
  }

  /// Sends what is left and closes in a way that loses nothing.
  Task<> finish() {
    co_await flush();
    if (broken_ || !spoke_) co_return;
    transport_.async_shutdown([self = this->shared_from_this()](error_code) {
      self->shut_ = true;
      self->wake();
    });
    const auto deadline = Clock::now() + kLinger;
    bool in_time = true;
    while (!broken_ && !(shut_ && ended_) && in_time) {
      input_.clear();
      start_read();
      in_time = co_await wait(deadline);
    }
  }

  // --- requests ---

  /// Feeds the reader until it leaves `phase`. False: the time is over or the input is.
  Task<bool> read_phase(RequestReader& reader, RequestReader::Phase phase,
                        Clock::time_point deadline) {
    bool in_time = true;
    while (reader.phase() == phase) {
      input_.erase(0, reader.feed(input_));
      if (reader.phase() != phase) break;
      if (ended_ || broken_ || !in_time) co_return false;
      start_read();
      in_time = co_await wait(deadline);
    }
    co_return true;
  }

  /// The answer to what could not be read to its end.
  void refuse_unread(const RequestReader& reader, bool complete) {
    Manner manner;
    RequestReader::Failure failure = reader.failure();
    if (!complete) {
      if (ended_ || broken_) return;  // gone in the middle of a sentence
      failure = {.status = 408, .message = "the request did not arrive in time"};
    }
    std::string path;
    if (reader.has_head()) {
      manner = manner_of(reader.head());
      path = admit(*site_, reader.head()).target.path;
    }
    manner.keep_alive = false;
    queue_response(
        site_->router.error(path, failure.status, "invalid_request_error", failure.message),
        manner);
  }

  static Manner manner_of(const RequestHead& head) {
    return {.http_1_1 = head.http_1_1,
            .head_only = head.method == "HEAD",
            .keep_alive = head.keep_alive,
            .origin = std::string(find_header(head.headers, "Origin"))};
  }

  /// After a refusal: reads a short body to its end, or decides to close after the answer.
  Task<> skip_body(RequestReader& reader, Manner& manner) {
    const RequestHead& head = reader.head();
    const bool skip =
        !head.chunked && !head.expects_continue && head.content_length.value_or(0) <= kSkippedBody;
    if (reader.phase() == RequestReader::Phase::Done) co_return;
    bool done = false;
    if (skip) {
      done = co_await read_phase(reader, RequestReader::Phase::Body,
                                 Clock::now() + site_->options.header_timeout);
    }
    if (!done || reader.phase() != RequestReader::Phase::Done) manner.keep_alive = false;
  }

  std::shared_ptr<Answer> make_answer(RequestReader& reader, Admission& admission) {
    Request request;
    request.method = std::move(reader.head().method);
    request.headers = std::move(reader.head().headers);
    request.body = reader.take_body();
    request.path = std::move(admission.target.path);
    request.query = std::move(admission.target.query);
    request.parameters = std::move(admission.match.parameters);
    request.api_key = std::move(admission.api_key);
    request.peer = peer_;
    // `ring` is called only before the answer is parted from this connection, which is before the
    // connection ends and long before the I/O context does.
    return std::make_shared<Answer>(
        std::move(request), site_->options.max_stream_backlog, [self = this->shared_from_this()] {
          asio::post(self->transport_.executor(), [self] { self->wake(); });
        });
  }

  void dispatch(const Router::Match& match, const std::shared_ptr<Answer>& answer) {
    const ExchangePtr exchange = make_exchange(answer);
    if (match.options.immediate) {
      run_handler(*site_, *match.handler, exchange);
      answer->drop_body();
      return;
    }
    site_->submit([site = site_, handler = match.handler, exchange, answer] {
      run_handler(*site, *handler, exchange);
      answer->drop_body();
    });
  }

  // --- answers ---

  /// Where an answer stands.
  struct Progress {
    bool begun = false;
    bool streaming = false;
    bool complete = false;
    double ping_seconds = 0.0;
    std::string ping;
    Clock::time_point spoken;  ///< when the last record or ping was queued
  };

  /// Writes an answer as it is produced, and notices meanwhile if the client leaves. False: no
  /// further request on this connection.
  Task<bool> deliver(std::shared_ptr<Answer> answer, Manner& manner) {
    const Parting parting{*answer};
    Progress progress;
    Clock::time_point leave_by = Clock::now() + kNever;
    bool told = false;
    while (!broken_) {
      const bool room = output_.empty() && !writing_;
      Answer::Delivery news = answer->take(room);
      if (news.overflow) {
        cut_off();
        co_return false;
      }
      if (room) queue_news(std::move(news), answer->request().path, progress, manner);
      if (room) queue_ping(progress, manner);
      start_write();
      answer->set_in_flight(output_.size());
      if (progress.complete && output_.empty() && !writing_) {
        co_return manner.keep_alive && !ended_;
      }
      if (ended_ && !progress.complete) {
        if (progress.begun) co_return false;
        if (!std::exchange(told, true)) {
          leave_by = Clock::now() + kHalfClosed;
          answer->peer_left();
        }
      }
      start_read();
      co_await wait(std::min(next_deadline(progress), leave_by));
      if (Clock::now() >= leave_by) co_return false;
      if (writing_ && Clock::now() >= written_ + site_->options.timeout) cut_off();
    }
    co_return false;
  }

  void queue_news(Answer::Delivery news, const std::string& path, Progress& progress,
                  Manner& manner) {
    if (news.whole) {
      progress.begun = true;
      queue_response(std::move(*news.whole), manner);
    }
    if (news.begin) begin_stream(std::move(*news.begin), progress, manner);
    if (!news.pieces.empty()) {
      progress.spoken = Clock::now();
      queue_pieces(std::move(news.pieces), manner);
    }
    progress.complete |= news.ended || news.dropped;
    if (news.dropped && !progress.begun) {
      queue_response(site_->router.error(path, 500, "server_error", "the request was not answered"),
                     manner);
    } else if (news.dropped) {
      // No last chunk: the client can tell that something is missing.
      manner.keep_alive = false;
    } else if (news.ended && progress.streaming && manner.http_1_1 && !manner.head_only) {
      output_.append("0\r\n\r\n");
    }
  }

  void begin_stream(StreamOptions options, Progress& progress, Manner& manner) {
    progress.begun = progress.streaming = true;
    progress.spoken = Clock::now();
    progress.ping_seconds = options.ping_seconds > 0 ? std::min(options.ping_seconds, 86400.0) : 0;
    progress.ping = std::move(options.ping);
    const auto add_default = [&](const char* name, const char* value) {
      if (find_header(options.headers, name).empty()) options.headers.emplace_back(name, value);
    };
    add_default("Cache-Control", "no-cache");
    add_default("X-Accel-Buffering", "no");
    if (!manner.http_1_1 || site_->draining) manner.keep_alive = false;
    output_.append(make_head(options.status, options.content_type, options.headers,
                             site_->cors.answer_headers(manner.origin), site_->options.server_name,
                             {.http_1_1 = manner.http_1_1,
                              .keep_alive = manner.keep_alive,
                              .chunked = manner.http_1_1,
                              .content_length = {}}));
  }

  void queue_pieces(std::vector<std::string> pieces, const Manner& manner) {
    if (manner.head_only) return;
    std::size_t size = 0;
    for (const std::string& piece : pieces) size += piece.size();
    if (manner.http_1_1) output_.append(fmt::format("{:x}\r\n", size));
    for (std::string& piece : pieces) output_.append(std::move(piece));
    if (manner.http_1_1) output_.append("\r\n");
  }

  void queue_ping(Progress& progress, const Manner& manner) {
    if (!progress.streaming || progress.complete || progress.ping_seconds <= 0 ||
        progress.ping.empty() || Clock::now() < ping_time(progress)) {
      return;
    }
    progress.spoken = Clock::now();
    queue_pieces({progress.ping}, manner);
  }

  static Clock::time_point ping_time(const Progress& progress) {
    return progress.spoken + std::chrono::duration_cast<Clock::duration>(
                                 std::chrono::duration<double>(progress.ping_seconds));
  }

  Clock::time_point next_deadline(const Progress& progress) const {
    if (writing_) return written_ + site_->options.timeout;
    const bool pings = progress.streaming && progress.ping_seconds > 0;
    return pings ? ping_time(progress) : Clock::now() + kNever;
  }

  /// A whole answer. Sets manner.keep_alive to what was promised.
  void queue_response(Response response, Manner& manner) {
    if (site_->draining) manner.keep_alive = false;
    Headers extra = find_header(response.headers, "Access-Control-Allow-Methods").empty()
                        ? site_->cors.answer_headers(manner.origin)
                        : Headers();  // a preflight's answer has them all
    output_.append(make_head(response.status, response.content_type, response.headers, extra,
                             site_->options.server_name,
                             {.http_1_1 = manner.http_1_1,
                              .keep_alive = manner.keep_alive,
                              .content_length = response.body.size()}));
    if (!manner.head_only && !is_bodiless(response.status)) {
      output_.append(std::move(response.body));
    }
  }

  // --- the socket ---

  /// Until something happens; false when the deadline is over. Callers look at what it was.
  Task<bool> wait(Clock::time_point deadline) {
    timer_.expires_at(deadline);
    waiting_ = true;
    co_await timer_.async_wait(asio::as_tuple(asio::use_awaitable_t<Executor>()));
    waiting_ = false;
    co_return Clock::now() < deadline;
  }

  /// Keeps one read under way, as long as there is room for what it brings.
  void start_read() {
    if (reading_ || ended_ || broken_) return;
    if (input_.size() > site_->options.max_header_bytes + kReadAhead) return;
    reading_ = true;
    transport_.async_read(
        [self = this->shared_from_this()](error_code error, std::string_view bytes) {
          self->reading_ = false;
          if (error == asio::error::eof) {
            self->ended_ = true;
          } else if (error) {
            self->broken_ = true;
          } else {
            self->input_.append(bytes);
          }
          self->wake();
        });
  }

  void start_write() {
    if (writing_ || broken_ || output_.empty()) return;
    writing_ = spoke_ = true;
    written_ = Clock::now();
    transport_.async_write(output_,
                           [self = this->shared_from_this()](error_code error, std::size_t n) {
                             self->writing_ = false;
                             if (error) {
                               self->broken_ = true;
                             } else {
                               self->output_.consume(n);
                               self->start_write();
                             }
                             self->wake();
                           });
  }

  /// Until everything queued is sent, or cannot be.
  Task<> flush() {
    start_write();
    while (!broken_ && (writing_ || !output_.empty())) {
      co_await wait(written_ + site_->options.timeout);
      if (writing_ && Clock::now() >= written_ + site_->options.timeout) cut_off();
    }
  }

  Transport transport_;
  const std::shared_ptr<Site> site_;
  const Presence presence_;
  Roll& roll_;
  const std::string peer_;
  Timer timer_;
  std::string input_;  ///< read and not parsed
  Output output_;
  Clock::time_point written_;  ///< when the write under way began
  bool waiting_ = false;
  bool reading_ = false;
  bool writing_ = false;
  bool opened_ = false;  ///< the handshake is done
  bool shut_ = false;    ///< our half is closed
  bool spoke_ = false;   ///< something was sent
  bool ended_ = false;   ///< the peer sends no more
  bool broken_ = false;  ///< nothing can be sent or received
};

}  // namespace foretoken::http
