#include "engine/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "engine/batch.h"
#include "engine/hidden_ring.h"

namespace foretoken::engine {
namespace {

// Rows per product when every position's logits are wanted: 16 x 248K f32 are 16 MB.
constexpr int kLogitRows = 16;

std::size_t z(int n) { return static_cast<std::size_t>(n); }

SessionOptions checked(const SessionOptions& options, const model::qwen35::Config& config) {
  if (options.n_context < 1 || options.n_context > 1 << 20) {
    throw RequestError(
        fmt::format("context size {} is out of range; use 1 to {} (this model was "
                    "trained for {})",
                    options.n_context, 1 << 20, config.n_context_train));
  }
  if (options.n_batch < 1 || options.n_batch > 1 << 16) {
    throw RequestError(
        fmt::format("batch size {} is out of range; use 1 to 65536", options.n_batch));
  }
  SessionOptions out = options;
  out.n_batch = std::max(kernels::kMaxPending, std::min(options.n_batch, options.n_context));
  return out;
}

cache::KvPageShape page_shape(const model::qwen35::Config& config, const SessionOptions& options,
                              int n_layers) {
  return {n_layers, config.n_kv_heads, config.head_dim, options.kv_types};
}

bool wants_head(const Engine& engine, const SessionOptions& options) {
  return options.use_mtp && engine.mtp_head() != nullptr;
}

// The pools as given, if they suit the session.
SessionPools checked(SessionPools pools, Engine& engine, const SessionOptions& options) {
  const model::qwen35::Config& config = engine.config();
  const auto suits = [&](const std::shared_ptr<cache::KvPagePool>& pool, int n_layers) {
    return pool != nullptr && pool->shape() == page_shape(config, options, n_layers);
  };
  if (pools.batch == nullptr || &pools.batch->engine() != &engine ||
      pools.batch->max_rows() < kernels::kMaxPending ||
      !suits(pools.kv, config.n_attention_layers()) ||
      (wants_head(engine, options) && !suits(pools.mtp_kv, 1))) {
    throw RequestError(
        "these pools were made for another model, other cache types or without the MTP head; make "
        "them with the options of the sessions that share them");
  }
  return pools;
}

}  // namespace

SessionPools make_session_pools(Engine& engine, const SessionOptions& options, int max_rows) {
  const SessionOptions used = checked(options, engine.config());
  const model::qwen35::Config& config = engine.config();
  SessionPools out;
  out.kv =
      std::make_shared<cache::KvPagePool>(page_shape(config, used, config.n_attention_layers()));
  if (wants_head(engine, used)) {
    out.mtp_kv = std::make_shared<cache::KvPagePool>(page_shape(config, used, 1));
  }
  out.batch = std::make_shared<Batch>(engine, std::max(max_rows, used.n_batch));
  return out;
}

Session::Session(Engine& engine, const SessionOptions& options)
    : Session(engine, options, make_session_pools(engine, options)) {}

Session::Session(Engine& engine, const SessionOptions& options, SessionPools pools)
    : engine_(engine),
      options_(checked(options, engine.config())),
      batch_(checked(pools, engine, options_).batch),
      kv_(pools.kv, options_.n_context),
      recurrent_(engine.config().delta, engine.config().n_recurrent_layers()),
      hidden_ring_(z(kHiddenRing) * z(engine.config().d_model)),
      mtp_hidden_(z(engine.config().d_model)) {
  options_.n_batch = std::min(options_.n_batch, batch_->max_rows());
  if (wants_head(engine, options_)) mtp_kv_.emplace(pools.mtp_kv, options_.n_context);
}

// ---- The steps of a pass. ----

void Session::check_tokens(std::span<const TokenId> tokens) const {
  if (tokens.size() > z(room())) {
    throw RequestError(
        fmt::format("{} tokens do not fit: the context holds {} and {} are used; "
                    "give a larger one with -c",
                    tokens.size(), options_.n_context, n_past_));
  }
  for (const TokenId id : tokens) {
    if (id < 0 || id >= engine_.config().n_vocab) {
      throw RequestError(fmt::format("token id {} is out of range; the vocabulary has {}", id,
                                     engine_.config().n_vocab));
    }
  }
}

// Everything a pass over n tokens will store into. A run leaves the head behind; it catches up
// before the ring of hidden rows would overwrite what it has not read.
void Session::make_room(int n_tokens, bool commit) {
  if (!commit && has_mtp() && n_past_ - mtp_pairs_ > kMostLag) mtp_flush();
  kv_.prepare(n_past_, n_past_ + n_tokens);
  if (commit && has_mtp()) {
    mtp_kv_->prepare(std::min(mtp_pairs_, std::max(0, n_past_ - 1)), n_past_ + n_tokens);
  }
}

model::qwen35::PassPart Session::begin_pass(std::span<const TokenId> tokens, bool commit) {
  if (mtp_pairs_ == n_past_ && n_past_ > 0 && tokens[0] != mtp_next_) mtp_pairs_ = n_past_ - 1;
  tokens_.resize(z(n_past_));
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  n_run_ = static_cast<int>(tokens.size());
  return {.n = n_run_,
          .first_pos = n_past_,
          .kv = &kv_,
          .recurrent = &recurrent_,
          .n_fold = n_past_ - n_state_,
          .commit = commit};
}

// `hidden`: [n_run_, d_model], the pass's rows.
void Session::end_pass(const float* hidden, bool commit) {
  keep_hidden(n_past_, n_run_, hidden);
  n_state_ = n_past_;
  if (!commit) return;
  n_past_ += n_run_;
  n_state_ = n_past_;
  n_run_ = 0;
}

void Session::keep_hidden(int first_pos, int n, const float* hidden) {
  const std::size_t width = z(engine_.config().d_model);
  for (int i = std::max(0, n - kHiddenRing); i < n; ++i) {
    std::memcpy(hidden_ring_.data() + z((first_pos + i) % kHiddenRing) * width,
                hidden + z(i) * width, width * sizeof(float));
  }
}

std::span<const float> Session::hidden_row(int pos) const {
  const std::size_t width = z(engine_.config().d_model);
  return {hidden_ring_.data() + z(pos % kHiddenRing) * width, width};
}

const float* Session::batch_hidden() const { return batch_->hidden(); }

// ---- A session by itself. ----

bool Session::prefill(std::span<const TokenId> prompt, const PrefillProgress& progress) {
  check_tokens(prompt);
  const int total = static_cast<int>(prompt.size());
  for (int done = 0; done < total;) {
    const int n = std::min(options_.n_batch, total - done);
    const BatchPart part{this, BatchPart::Kind::Prompt, prompt.subspan(z(done), z(n))};
    batch_->run({&part, 1});
    done += n;
    if (progress && !progress(done, total) && done < total) return false;
  }
  return true;
}

void Session::prefill_with_logits(
    std::span<const TokenId> prompt,
    const std::function<void(int, int, std::span<const float>)>& sink) {
  check_tokens(prompt);
  const std::size_t width = z(engine_.config().d_model);
  for (std::size_t done = 0; done < prompt.size();) {
    const std::size_t n = std::min(z(options_.n_batch), prompt.size() - done);
    const int first = n_past_;
    prefill(prompt.subspan(done, n));
    for (std::size_t row = 0; row < n; row += kLogitRows) {
      const int rows = static_cast<int>(std::min<std::size_t>(kLogitRows, n - row));
      sink(first + static_cast<int>(row), rows, batch_->logits(batch_hidden() + row * width, rows));
    }
    done += n;
  }
}

std::span<const float> Session::run(std::span<const TokenId> tokens) {
  const BatchPart part{this, BatchPart::Kind::Verify, tokens};
  return batch_->run({&part, 1}).front().logits;
}

void Session::commit(int n_kept) {
  n_kept = std::clamp(n_kept, 0, n_run_);
  n_past_ += n_kept;
  tokens_.resize(z(n_past_));
  n_run_ = 0;
}

std::span<const float> Session::last_logits() {
  return batch_->logits(hidden_row(n_past_ - 1).data(), 1);
}

// ---- Going back. ----

void Session::rewind(int n_past) {
  if (n_past == 0) {
    recurrent_.clear();
    kv_.clear();
    if (has_mtp()) mtp_kv_->clear();
    n_past_ = n_state_ = n_run_ = mtp_pairs_ = 0;
    tokens_.clear();
    return;
  }
  if (n_past < n_state_ || n_past > n_past_) {
    throw RequestError(
        fmt::format("cannot rewind to {} tokens: possible are 0 and {} to {}; an older "
                    "position needs a checkpoint",
                    n_past, n_state_, n_past_));
  }
  n_past_ = n_past;
  n_run_ = 0;
  tokens_.resize(z(n_past));
  mtp_pairs_ = std::min(mtp_pairs_, n_past - 1);
}

// Moves the recurrent state up to n_past_.
void Session::fold_pending() {
  if (n_state_ == n_past_) return;
  engine_.text_model().fold(n_past_, n_past_ - n_state_, recurrent_);
  n_state_ = n_past_;
}

cache::CheckpointPtr Session::take_checkpoint() {
  fold_pending();
  if (n_past_ == 0) return make_checkpoint(0, recurrent_.take_snapshot(0), {});
  if (has_mtp()) {
    mtp_flush();
    mtp_kv_->prepare(n_past_ - 1, n_past_);  // as many pages as the trunk's
  }
  return make_checkpoint(n_past_, recurrent_.take_snapshot(n_past_), hidden_row(n_past_ - 1));
}

// Of the first n_tokens, whose pages and pairs are in the caches.
cache::CheckpointPtr Session::make_checkpoint(int n_tokens,
                                              cache::RecurrentState::Snapshot recurrent,
                                              std::span<const float> hidden) const {
  auto out = std::make_shared<cache::Checkpoint>();
  out->kv_shape = kv_.pool()->shape();
  out->tokens.assign(tokens_.begin(), tokens_.begin() + n_tokens);
  out->kv = kv_.share(n_tokens);
  if (has_mtp()) {
    out->mtp_shape = mtp_kv_->pool()->shape();
    out->mtp_kv = mtp_kv_->share(n_tokens);
  }
  out->recurrent = std::move(recurrent);
  out->hidden.assign(hidden.begin(), hidden.end());
  return out;
}

// Empty: nothing speaks against restoring.
std::string Session::why_not(const cache::Checkpoint& checkpoint) const {
  const std::size_t n = checkpoint.tokens.size();
  if (n > z(options_.n_context)) {
    return fmt::format("it has {} tokens and the context holds {}; give a larger one with -c", n,
                       options_.n_context);
  }
  const std::size_t n_pages = z(kernels::kv_pages(static_cast<int>(n)));
  const cache::RecurrentState::Snapshot& recurrent = checkpoint.recurrent;
  if (checkpoint.kv_shape != kv_.pool()->shape() || checkpoint.kv.size() != n_pages ||
      recurrent.s.size() != z(recurrent_.n_layers()) * recurrent_.shape().state_size() ||
      recurrent.conv.size() != z(recurrent_.n_layers() * 3 * recurrent_.shape().n_channels()) ||
      (n > 0 && checkpoint.hidden.size() != z(engine_.config().d_model))) {
    return "it belongs to another model or to a cache of another type (-ctk, -ctv)";
  }
  if (has_mtp() &&
      (checkpoint.mtp_shape != mtp_kv_->pool()->shape() || checkpoint.mtp_kv.size() != n_pages)) {
    return "it was taken without the MTP head, whose cache it therefore lacks";
  }
  return {};
}

bool Session::can_restore(const cache::Checkpoint& checkpoint) const {
  return why_not(checkpoint).empty();
}

void Session::restore(const cache::CheckpointPtr& checkpoint) {
  const std::string problem = why_not(*checkpoint);
  if (!problem.empty()) throw RequestError("cannot restore a checkpoint: " + problem);
  const int n = static_cast<int>(checkpoint->tokens.size());
  if (n == 0) {
    rewind(0);
    return;
  }
  tokens_ = checkpoint->tokens;
  kv_.adopt(checkpoint->kv);
  if (has_mtp()) mtp_kv_->adopt(checkpoint->mtp_kv);
  recurrent_.restore(checkpoint->recurrent, n);
  n_past_ = n_state_ = n;
  n_run_ = 0;
  // The head's pairs below the last row were stored before the checkpoint was taken.
  mtp_pairs_ = n - 1;
  keep_hidden(n - 1, 1, checkpoint->hidden.data());
}

void Session::remember() {
  if (options_.n_checkpoints <= 0) return;
  std::erase_if(checkpoints_, [&](const cache::CheckpointPtr& c) {
    return std::ranges::equal(c->tokens, tokens());
  });
  if (checkpoints_.size() >= z(options_.n_checkpoints)) checkpoints_.erase(checkpoints_.begin());
  checkpoints_.push_back(take_checkpoint());
}

Session::SyncResult Session::sync(std::span<const TokenId> prompt,
                                  const PrefillProgress& progress) {
  const auto common = static_cast<int>(
      std::mismatch(tokens_.begin(), tokens_.begin() + n_past_, prompt.begin(), prompt.end())
          .first -
      tokens_.begin());
  if (common < n_past_) {
    cache::CheckpointPtr best;
    for (const cache::CheckpointPtr& c : checkpoints_) {
      const bool prefix = c->tokens.size() <= prompt.size() &&
                          std::equal(c->tokens.begin(), c->tokens.end(), prompt.begin());
      if (prefix && (best == nullptr || c->tokens.size() > best->tokens.size())) best = c;
    }
    if (common >= n_state_ && common > 0) {
      rewind(common);
    } else if (best != nullptr) {
      restore(best);
    } else {
      rewind(0);
    }
  }
  SyncResult result;
  result.n_reused = n_past_;
  const std::span<const TokenId> rest = prompt.subspan(z(n_past_));
  result.complete = prefill(rest, progress);
  result.n_processed = n_past_ - result.n_reused;
  if (result.n_processed > 0) remember();
  return result;
}

}  // namespace foretoken::engine
