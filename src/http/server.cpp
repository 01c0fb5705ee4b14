// The server's threads, its listening sockets, and its end.
//
// Every I/O thread has an io_context of its own, and a connection stays with one: what would need a
// lock or a strand elsewhere is simply on the same thread. Sockets are accepted on the first one
// and dealt out in turn.
#include "http/server.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <future>
#include <optional>
#include <thread>

#include "base/error.h"
#include "http/connections.h"
#include "http/head.h"
#include "http/listener.h"
#include "http/tls.h"

namespace foretoken::http {
namespace {

using Clock = std::chrono::steady_clock;
using Descriptor = asio::posix::basic_stream_descriptor<Executor>;
using Timer = asio::basic_waitable_timer<Clock, asio::wait_traits<Clock>, Executor>;

/// An I/O thread and what belongs to it.
struct IoLoop {
  Roll roll;
  std::vector<char> scratch = std::vector<char>(std::size_t{64} << 10);
  asio::io_context context{1};
  std::optional<asio::executor_work_guard<Executor>> guard;
  std::thread thread;

  void start() {
    guard.emplace(context.get_executor());
    thread = std::thread([this] {
      for (;;) {
        try {
          context.run();
          return;
        } catch (const std::exception&) {
          // Out of memory in one connection's handler; the others go on.
        }
      }
    });
  }

  /// Runs `task` on the thread and waits for it.
  template <class Task>
  void call(Task task) {
    std::promise<void> done;
    asio::post(context, [&] {
      task();
      done.set_value();
    });
    done.get_future().wait();
  }
};

/// An accepted socket that no connection owns yet.
class Newcomer {
 public:
  Newcomer(Listener::Accepted accepted, Site& site)
      : accepted_(std::move(accepted)), presence_(site, Site::Count::Connections) {}
  Newcomer(Newcomer&& other) noexcept
      : accepted_(std::exchange(other.accepted_, Listener::Accepted())),
        presence_(std::move(other.presence_)) {}
  Newcomer& operator=(Newcomer&&) = delete;
  ~Newcomer() {
    if (accepted_.fd >= 0) ::close(accepted_.fd);
  }

  Socket take_socket(asio::io_context& context) {
    return {context.get_executor(), asio::generic::stream_protocol(accepted_.family, 0),
            std::exchange(accepted_.fd, -1)};
  }
  std::string take_peer() { return std::move(accepted_.peer); }
  Presence take_presence() { return std::move(presence_); }

  /// Sends `answer`, as far as the socket takes it at once.
  void turn_away(std::string_view answer) const {
    ::send(accepted_.fd, answer.data(), answer.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    ::shutdown(accepted_.fd, SHUT_WR);
  }

 private:
  Listener::Accepted accepted_;
  Presence presence_;
};

std::string too_many_connections(const Site& site) {
  const Response answer =
      site.router.error("", 503, "unavailable_error", "the server has too many connections");
  return make_head(answer.status, answer.content_type, answer.headers, {}, site.options.server_name,
                   {.keep_alive = false, .content_length = answer.body.size()}) +
         answer.body;
}

}  // namespace

class Server::Impl {
 public:
  Impl(const ServerOptions& options, Router router)
      : pool_(static_cast<std::size_t>(std::max(options.n_handler_threads, 1))),
        site_(
            std::make_shared<Site>(options, std::move(router), [this](std::function<void()> task) {
              asio::post(pool_, [task = std::move(task)] {
                try {
                  task();
                } catch (const std::exception&) {
                  // Out of memory while answering; the exchange is dropped, which is answered.
                }
              });
            })) {
    if (!options.tls_certificate_file.empty()) {
      tls_ = make_tls_context(options.tls_key_file, options.tls_certificate_file);
    }
    listeners_ = open_listeners(options);
    for (int i = 0; i < options.n_io_threads; ++i) loops_.push_back(std::make_unique<IoLoop>());
  }

  ~Impl() { shut_down(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void start() {
    if (started_) return;
    started_ = true;
    for (const auto& listener : listeners_) {
      const int copy = ::fcntl(listener->fd(), F_DUPFD_CLOEXEC, 0);
      if (copy < 0) throw IoError("no file descriptor is left to listen with");
      doors_.push_back(std::make_unique<Descriptor>(loops_[0]->context.get_executor(), copy));
      asio::co_spawn(loops_[0]->context.get_executor(), accept_forever(*listener, *doors_.back()),
                     asio::detached);
    }
    for (const auto& loop : loops_) loop->start();
  }

  int port() const {
    for (const auto& listener : listeners_) {
      if (listener->port() != 0) return listener->port();
    }
    return 0;
  }

  std::vector<std::string> urls() const {
    std::vector<std::string> out;
    for (const auto& listener : listeners_) {
      // A name that stands for two addresses is one URL.
      if (out.empty() || out.back() != listener->url()) out.push_back(listener->url());
    }
    return out;
  }

  void drain(std::chrono::milliseconds grace) {
    const auto deadline = Clock::now() + grace;
    if (started_ && !site_->closing) {
      site_->draining = true;
      close_doors();
      for (const auto& loop : loops_) {
        loop->call([&] { loop->roll.for_each([](ConnectionBase& c) { c.wake(); }); });
        // Whoever was woken needs a turn or two to find that it has a request to read.
        for (int turn = 0; turn < 3; ++turn) loop->call([] {});
      }
      site_->wait_for_none(Site::Count::Busy, deadline);
    }
    shut_down();
  }

  Counts counts() const {
    return {.connections = site_->count(Site::Count::Connections),
            .streams = site_->count(Site::Count::Streams)};
  }

 private:
  using Task = asio::awaitable<void, Executor>;

  Task accept_forever(const Listener& listener, Descriptor& door) {
    Timer pause(loops_[0]->context.get_executor());
    const auto token = asio::as_tuple(asio::use_awaitable_t<Executor>());
    while (!site_->draining) {
      const auto [error] = co_await door.async_wait(Descriptor::wait_read, token);
      if (error || site_->draining) co_return;
      const int accept_error = accept_waiting(listener);
      if (accept_error == EAGAIN || accept_error == ECONNABORTED || accept_error == EINTR) continue;
      // No descriptors or no memory: others may give some back, and asking in a loop helps nobody.
      pause.expires_after(std::chrono::milliseconds(50));
      co_await pause.async_wait(token);
    }
  }

  /// Accepts what waits; returns the errno that ended it.
  int accept_waiting(const Listener& listener) {
    for (;;) {
      Listener::Accepted accepted = listener.accept();
      if (accepted.fd < 0) return accepted.error;
      Newcomer newcomer(std::move(accepted), *site_);
      if (site_->count(Site::Count::Connections) > site_->options.max_connections) {
        if (!tls_) newcomer.turn_away(too_many_connections(*site_));
        continue;
      }
      IoLoop& loop = *loops_[next_loop_++ % loops_.size()];
      if (&loop == loops_[0].get()) {
        begin(loop, std::move(newcomer));
      } else {
        asio::post(loop.context, [this, &loop, newcomer = std::move(newcomer)]() mutable {
          begin(loop, std::move(newcomer));
        });
      }
    }
  }

  void begin(IoLoop& loop, Newcomer newcomer) {
    Origin origin{.site = site_,
                  .presence = newcomer.take_presence(),
                  .roll = loop.roll,
                  .peer = newcomer.take_peer()};
    Socket socket = newcomer.take_socket(loop.context);
    if (tls_) {
      start_tls_connection(std::move(socket), *tls_, std::move(origin));
    } else {
      start_plain_connection(std::move(socket), asio::buffer(loop.scratch), std::move(origin));
    }
  }

  /// Takes those in who already wait, then nobody any more.
  void close_doors() {
    loops_[0]->call([&] {
      for (std::size_t i = 0; i < doors_.size(); ++i) {
        if (!site_->closing) accept_waiting(*listeners_[i]);
        listeners_[i]->stop();
        error_code ignored;
        doors_[i]->close(ignored);
      }
      doors_.clear();
    });
  }

  /// Ends every connection and every thread. Each I/O context runs until it has nothing left, so
  /// nothing of a connection outlives it.
  void shut_down() {
    if (!started_ || std::exchange(shut_down_, true)) return;
    site_->draining = true;
    site_->closing = true;
    if (!doors_.empty()) close_doors();
    for (const auto& loop : loops_) {
      loop->call([&] { loop->roll.for_each([](ConnectionBase& c) { c.cut_off(); }); });
      loop->guard.reset();
    }
    for (const auto& loop : loops_) loop->thread.join();
    // Handlers that run are waited for, those that only wait are not run.
    pool_.stop();
    pool_.join();
  }

  asio::thread_pool pool_;
  const std::shared_ptr<Site> site_;
  std::unique_ptr<asio::ssl::context> tls_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<std::unique_ptr<IoLoop>> loops_;
  std::vector<std::unique_ptr<Descriptor>> doors_;
  std::size_t next_loop_ = 0;
  bool started_ = false;
  bool shut_down_ = false;
};

Server::Server(const ServerOptions& options, Router router)
    : impl_(std::make_unique<Impl>(options, std::move(router))) {}
Server::~Server() = default;
void Server::start() { impl_->start(); }
int Server::port() const { return impl_->port(); }
std::vector<std::string> Server::urls() const { return impl_->urls(); }
void Server::drain(std::chrono::milliseconds grace) { impl_->drain(grace); }
Server::Counts Server::counts() const { return impl_->counts(); }

}  // namespace foretoken::http
