// The mailbox between handlers and a connection. Callbacks of users and destructors of what they
// hold run outside of the lock.
#include "http/answer.h"

#include <utility>

namespace foretoken::http {
namespace {

class AnswerHandle final : public Exchange {
 public:
  explicit AnswerHandle(std::shared_ptr<Answer> answer) : answer_(std::move(answer)) {}
  AnswerHandle(const AnswerHandle&) = delete;
  AnswerHandle& operator=(const AnswerHandle&) = delete;
  ~AnswerHandle() override { answer_->drop(); }

  const Request& request() const override { return answer_->request(); }
  void respond(Response response) override { answer_->respond(std::move(response)); }
  void begin_stream(StreamOptions options) override { answer_->begin_stream(std::move(options)); }
  bool write(std::string piece) override { return answer_->write(std::move(piece)); }
  void end_stream() override { answer_->end_stream(); }
  std::size_t backlog() const override { return answer_->backlog(); }
  void on_close(std::function<void()> on_close) override { answer_->on_close(std::move(on_close)); }
  bool closed() const override { return answer_->closed(); }

 private:
  std::shared_ptr<Answer> answer_;
};

}  // namespace

ExchangePtr make_exchange(std::shared_ptr<Answer> answer) {
  return std::make_shared<AnswerHandle>(std::move(answer));
}

Answer::Answer(Request request, std::size_t max_backlog, std::function<void()> ring)
    : request_(std::move(request)), max_backlog_(max_backlog), ring_(std::move(ring)) {}

void Answer::ring() {
  if (rung_ || parted_) return;
  rung_ = true;
  ring_();
}

void Answer::respond(Response response) {
  std::function<void()> forgotten;
  const std::lock_guard lock(mutex_);
  if (begun_ || parted_) return;
  begun_ = ended_ = true;
  forgotten.swap(on_close_);
  queued_ += response.body.size();
  next_.whole = std::move(response);
  next_.ended = true;
  ring();
}

void Answer::begin_stream(StreamOptions options) {
  const std::lock_guard lock(mutex_);
  if (begun_ || closed_) return;
  begun_ = streaming_ = true;
  next_.begin = std::move(options);
  ring();
}

bool Answer::write(std::string piece) {
  const std::lock_guard lock(mutex_);
  if (!streaming_ || ended_ || closed_ || overflow_) return false;
  if (piece.empty()) return true;
  if (queued_ + in_flight_ + piece.size() > max_backlog_) {
    overflow_ = true;
    // Rings even when it rang before: the connection may be waiting for the socket, not for words.
    ring_();
    return false;
  }
  queued_ += piece.size();
  next_.pieces.push_back(std::move(piece));
  ring();
  return true;
}

void Answer::end_stream() {
  std::function<void()> forgotten;
  const std::lock_guard lock(mutex_);
  if (!streaming_ || ended_ || closed_) return;
  ended_ = true;
  forgotten.swap(on_close_);
  next_.ended = true;
  ring();
}

std::size_t Answer::backlog() const {
  const std::lock_guard lock(mutex_);
  return parted_ ? 0 : queued_ + in_flight_;
}

void Answer::on_close(std::function<void()> on_close) {
  {
    const std::lock_guard lock(mutex_);
    if (complete()) return;
    if (!closed_) {
      on_close_.swap(on_close);
      return;  // the earlier one is destroyed by the caller's copy, after the lock
    }
  }
  if (on_close) on_close();
}

bool Answer::closed() const {
  const std::lock_guard lock(mutex_);
  return closed_;
}

void Answer::drop() {
  const std::lock_guard lock(mutex_);
  if (complete()) return;
  dropped_ = true;
  next_.dropped = true;
  ring();
}

Answer::Delivery Answer::take(bool room) {
  const std::lock_guard lock(mutex_);
  Delivery out;
  if (room) {
    rung_ = false;
    in_flight_ += std::exchange(queued_, 0);
    out = std::exchange(next_, {});
  }
  out.overflow = overflow_;
  return out;
}

void Answer::set_in_flight(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  in_flight_ = bytes;
}

void Answer::tell_closed() {
  std::function<void()> callback;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    callback.swap(on_close_);
    if (complete()) return;
  }
  if (!callback) return;
  try {
    callback();
  } catch (...) {
    // Whoever listens has a mistake of its own; the connection ends all the same.
  }
}

void Answer::peer_left() { tell_closed(); }

void Answer::part() {
  std::function<void()> ring;
  Delivery unsent;
  {
    const std::lock_guard lock(mutex_);
    parted_ = closed_ = true;
    ring.swap(ring_);
    std::swap(unsent, next_);
  }
  tell_closed();
}

}  // namespace foretoken::http
