#include "engine/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace foretoken::engine {
namespace {

using model::qwen35::RopePosition;

// Hidden rows kept by position. The MTP head may lag this far behind (less what one run adds)
// before it is caught up; catching up in batches reads its weights once for many tokens.
constexpr int kHiddenRing = 64;
constexpr int kMostLag = kHiddenRing - kernels::kMaxPending - 1;
// Rows per product when every position's logits are wanted: 16 x 248K f32 are 16 MB.
constexpr int kLogitRows = 16;

std::size_t z(int n) { return static_cast<std::size_t>(n); }

// Text: time, height and width advance together.
void text_positions(int first, int n, std::vector<RopePosition>& out) {
  out.clear();
  for (int p = first; p < first + n; ++p) out.push_back({p, p, p});
}

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

cache::KvCache::Shape kv_shape(const model::qwen35::Config& config, const SessionOptions& options,
                               int n_layers) {
  return {n_layers, config.n_kv_heads, config.head_dim, options.n_context, options.kv_types};
}

}  // namespace

Session::Session(Engine& engine, const SessionOptions& options)
    : engine_(engine),
      options_(checked(options, engine.config())),
      workspace_(engine.config(), std::max(options_.n_batch, kHiddenRing)),
      kv_(kv_shape(engine.config(), options_, engine.config().n_attention_layers())),
      recurrent_(engine.config().delta, engine.config().n_recurrent_layers()),
      hidden_(z(1 + std::max(options_.n_batch, kHiddenRing)) * z(engine.config().d_model)),
      hidden_ring_(z(kHiddenRing) * z(engine.config().d_model)),
      mtp_hidden_(z(engine.config().d_model)) {
  if (options_.use_mtp && engine.mtp_head() != nullptr) {
    mtp_kv_.emplace(kv_shape(engine.config(), options_, 1));
  }
}

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

// Runs tokens at n_past_. Their normed hidden rows land in hidden_ rows 1 ..
void Session::forward(std::span<const TokenId> tokens, bool commit) {
  const int n = static_cast<int>(tokens.size());
  if (mtp_pairs_ == n_past_ && n_past_ > 0 && tokens[0] != mtp_next_) mtp_pairs_ = n_past_ - 1;
  note_tokens(tokens);
  text_positions(n_past_, n, rope_);
  const model::qwen35::BatchPosition at{n_past_, n_past_ - n_state_, commit};
  engine_.text_model().forward(tokens, rope_, at, kv_, recurrent_, workspace_,
                               hidden_.data() + engine_.config().d_model);
  n_state_ = commit ? n_past_ + n : n_past_;
}

void Session::note_tokens(std::span<const TokenId> tokens) {
  tokens_.resize(z(n_past_));
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  kv_tokens_.resize(z(n_past_));
  kv_tokens_.insert(kv_tokens_.end(), tokens.begin(), tokens.end());
}

void Session::keep_hidden(int first_pos, int n) {
  const std::size_t width = z(engine_.config().d_model);
  for (int i = std::max(0, n - kHiddenRing); i < n; ++i) {
    std::memcpy(hidden_ring_.data() + z((first_pos + i) % kHiddenRing) * width,
                hidden_.data() + z(1 + i) * width, width * sizeof(float));
  }
}

std::span<const float> Session::hidden_row(int pos) const {
  const std::size_t width = z(engine_.config().d_model);
  return {hidden_ring_.data() + z(pos % kHiddenRing) * width, width};
}

const float* Session::batch_hidden() const { return hidden_.data() + engine_.config().d_model; }

bool Session::prefill(std::span<const TokenId> prompt, const PrefillProgress& progress) {
  check_tokens(prompt);
  const int total = static_cast<int>(prompt.size());
  for (int done = 0; done < total;) {
    const int n = std::min(options_.n_batch, total - done);
    const std::span<const TokenId> batch = prompt.subspan(z(done), z(n));
    forward(batch, true);
    if (has_mtp()) mtp_prefill(batch, n_past_);
    keep_hidden(n_past_, n);
    n_past_ += n;
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
  const std::size_t n_vocab = z(engine_.config().n_vocab);
  logits_.grow_to(kLogitRows * n_vocab);
  for (std::size_t done = 0; done < prompt.size();) {
    const std::size_t n = std::min(z(options_.n_batch), prompt.size() - done);
    const int first = n_past_;
    prefill(prompt.subspan(done, n));
    for (std::size_t row = 0; row < n; row += kLogitRows) {
      const std::size_t rows = std::min<std::size_t>(kLogitRows, n - row);
      engine_.text_model().logits(batch_hidden() + row * width, static_cast<int>(rows),
                                  logits_.data());
      sink(first + static_cast<int>(row), static_cast<int>(rows), {logits_.data(), rows * n_vocab});
    }
    done += n;
  }
}

std::span<const float> Session::run(std::span<const TokenId> tokens) {
  check_tokens(tokens);
  if (tokens.empty() || tokens.size() > z(kernels::kMaxPending)) {
    throw RequestError(
        fmt::format("a run takes 1 to {} tokens, not {}", kernels::kMaxPending, tokens.size()));
  }
  if (has_mtp() && n_past_ - mtp_pairs_ > kMostLag) mtp_flush();
  forward(tokens, false);
  n_run_ = static_cast<int>(tokens.size());
  keep_hidden(n_past_, n_run_);
  logits_.grow_to(z(kernels::kMaxPending) * z(engine_.config().n_vocab));
  engine_.text_model().logits(batch_hidden(), n_run_, logits_.data());
  return {logits_.data(), tokens.size() * z(engine_.config().n_vocab)};
}

void Session::commit(int n_kept) {
  n_kept = std::clamp(n_kept, 0, n_run_);
  n_past_ += n_kept;
  tokens_.resize(z(n_past_));
  n_run_ = 0;
}

std::span<const float> Session::last_logits() {
  const std::size_t n_vocab = z(engine_.config().n_vocab);
  logits_.grow_to(n_vocab);
  engine_.text_model().logits(hidden_row(n_past_ - 1).data(), 1, logits_.data());
  return {logits_.data(), n_vocab};
}

// ---- Going back. ----

void Session::rewind(int n_past) {
  if (n_past == 0) {
    recurrent_.clear();
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

Checkpoint Session::take_checkpoint() {
  fold_pending();
  if (has_mtp()) mtp_flush();
  Checkpoint out;
  out.tokens.assign(tokens_.begin(), tokens_.begin() + n_past_);
  out.recurrent = recurrent_.take_snapshot(n_past_);
  if (n_past_ > 0) {
    const std::span<const float> row = hidden_row(n_past_ - 1);
    out.hidden.assign(row.begin(), row.end());
  }
  return out;
}

bool Session::can_restore(const Checkpoint& checkpoint) const {
  return checkpoint.tokens.size() <= kv_tokens_.size() &&
         std::equal(checkpoint.tokens.begin(), checkpoint.tokens.end(), kv_tokens_.begin());
}

void Session::restore(const Checkpoint& checkpoint) {
  if (!can_restore(checkpoint)) {
    throw RequestError(
        "cannot restore a checkpoint: the keys and values of its tokens were "
        "overwritten; process the prompt again");
  }
  const int n = static_cast<int>(checkpoint.tokens.size());
  rewind(0);
  if (n == 0) return;
  recurrent_.restore(checkpoint.recurrent, n);
  tokens_ = checkpoint.tokens;
  n_past_ = n_state_ = n;
  // The head's pairs below the last row were stored before the checkpoint was taken.
  mtp_pairs_ = n - 1;
  std::memcpy(hidden_ring_.data() + z((n - 1) % kHiddenRing) * checkpoint.hidden.size(),
              checkpoint.hidden.data(), checkpoint.hidden.size() * sizeof(float));
}

void Session::remember() {
  if (options_.n_checkpoints <= 0) return;
  std::erase_if(checkpoints_, [&](const Checkpoint& c) {
    return !can_restore(c) || c.tokens.size() == z(n_past_);
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
    const Checkpoint* best = nullptr;
    for (const Checkpoint& c : checkpoints_) {
      const bool prefix = c.tokens.size() <= prompt.size() &&
                          std::equal(c.tokens.begin(), c.tokens.end(), prompt.begin());
      if (prefix && can_restore(c) && (best == nullptr || c.tokens.size() > best->tokens.size())) {
        best = &c;
      }
    }
    if (common >= n_state_ && common > 0) {
      rewind(common);
    } else if (best != nullptr) {
      restore(*best);
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

// ---- The MTP head. ----

// Pairs (h_p, x_{p+1}) for p in [first, end) from the ring, into hidden_ row 0 .. and pair_tokens_.
void Session::gather_pairs(int first, int end, TokenId last_next) {
  const std::size_t width = z(engine_.config().d_model);
  pair_tokens_.clear();
  for (int p = first; p < end; ++p) {
    std::memcpy(hidden_.data() + z(p - first) * width, hidden_row(p).data(), width * sizeof(float));
    pair_tokens_.push_back(p + 1 < n_past_ ? tokens_[z(p + 1)] : last_next);
  }
  text_positions(first, end - first, rope_);
}

void Session::mtp_flush() {
  const int end = n_past_ - 1;
  if (mtp_pairs_ >= end) return;
  gather_pairs(mtp_pairs_, end, -1);
  engine_.mtp_head()->catch_up({pair_tokens_, hidden_.data(), rope_, mtp_pairs_}, *mtp_kv_,
                               workspace_);
  mtp_pairs_ = end;
}

// Stores the pairs that a prompt batch completes: the row before it with its first token, and its
// own rows but the last.
void Session::mtp_prefill(std::span<const TokenId> tokens, int first_pos) {
  const int n = static_cast<int>(tokens.size());
  const std::size_t width = z(engine_.config().d_model);
  if (mtp_pairs_ < first_pos - 1) {
    // Rows still in the ring; hidden_ row 1 on holds the new batch, so gather into a copy.
    std::vector<float> rows;
    pair_tokens_.clear();
    for (int p = mtp_pairs_; p < first_pos - 1; ++p) {
      rows.insert(rows.end(), hidden_row(p).begin(), hidden_row(p).end());
      pair_tokens_.push_back(tokens_[z(p + 1)]);
    }
    text_positions(mtp_pairs_, first_pos - 1 - mtp_pairs_, rope_);
    engine_.mtp_head()->catch_up({pair_tokens_, rows.data(), rope_, mtp_pairs_}, *mtp_kv_,
                                 workspace_);
    mtp_pairs_ = first_pos - 1;
  }
  const int end = first_pos + n - 1;  // one past the last pair whose successor is known
  const int first = std::min(mtp_pairs_, first_pos);
  if (first < first_pos) {
    std::memcpy(hidden_.data(), hidden_row(first_pos - 1).data(), width * sizeof(float));
  }
  const int start = std::max(mtp_pairs_, first);
  if (start < end) {
    const auto count = z(end - start);
    pair_tokens_.assign(
        tokens.begin() + (start + 1 - first_pos),
        tokens.begin() + (start + 1 - first_pos) + static_cast<std::ptrdiff_t>(count));
    text_positions(start, end - start, rope_);
    const float* rows = hidden_.data() + z(1 + start - first_pos) * width;
    engine_.mtp_head()->catch_up({pair_tokens_, rows, rope_, start}, *mtp_kv_, workspace_);
  }
  mtp_pairs_ = std::max(mtp_pairs_, end);
}

std::span<const float> Session::mtp_begin(TokenId next) {
  const int first = std::min(mtp_pairs_, n_past_ - 1);
  gather_pairs(first, n_past_, next);
  engine_.mtp_head()->step({pair_tokens_, hidden_.data(), rope_, first}, *mtp_kv_, workspace_,
                           mtp_hidden_.data());
  mtp_pairs_ = mtp_pos_ = n_past_;
  mtp_next_ = next;
  return mtp_hidden_.span();
}

std::span<const float> Session::mtp_continue(TokenId drafted) {
  const std::size_t width = z(engine_.config().d_model);
  std::memcpy(hidden_.data(), mtp_hidden_.data(), width * sizeof(float));
  text_positions(mtp_pos_, 1, rope_);
  engine_.mtp_head()->step({std::span(&drafted, 1), hidden_.data(), rope_, mtp_pos_}, *mtp_kv_,
                           workspace_, mtp_hidden_.data());
  ++mtp_pos_;
  return mtp_hidden_.span();
}

}  // namespace foretoken::engine
