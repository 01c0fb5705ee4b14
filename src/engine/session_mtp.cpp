// The MTP head's side of a timeline: which pairs its cache holds, and how it catches up.
#include <algorithm>
#include <cstring>
#include <vector>

#include "engine/batch.h"
#include "engine/session.h"

namespace foretoken::engine {
namespace {

constexpr TokenId kNoToken = -1;

std::size_t z(int n) { return static_cast<std::size_t>(n); }

}  // namespace

// Adds the pairs (h_p, x_{p+1}) of positions [first, end). Rows below n_past_ are in the ring,
// those from there on in `new_rows`. `last_next` is the successor of the last one if the timeline
// does not have it.
void Session::add_pairs(int first, int end, const float* new_rows, TokenId last_next,
                        Pairs& pairs) {
  const std::size_t width = z(engine_.config().d_model);
  std::vector<const float*> rows;
  std::vector<TokenId> next;
  for (int p = first; p < end; ++p) {
    rows.push_back(p < n_past_ ? hidden_row(p).data() : new_rows + z(p - n_past_) * width);
    next.push_back(p == end - 1 && last_next != kNoToken ? last_next : tokens_[z(p + 1)]);
  }
  pairs.add_text(first, rows, next, *mtp_kv_);
}

void Session::mtp_flush() {
  const int end = n_past_ - 1;
  if (mtp_pairs_ >= end) return;
  mtp_kv_->prepare(mtp_pairs_, end);
  Pairs& pairs = batch_->pairs_;
  pairs.clear();
  add_pairs(mtp_pairs_, end, nullptr, kNoToken, pairs);
  engine_.mtp_head()->catch_up(pairs, batch_->workspace_);
  mtp_pairs_ = end;
}

// Pages for what the step stores. Returns the pairs it takes besides the newest, at most n_spare.
int Session::make_draft_room(const DraftStep& step, int n_spare) {
  if (step.kind == DraftStep::Kind::Continue) {
    mtp_kv_->prepare(mtp_pos_, mtp_pos_ + 1);
    return 0;
  }
  mtp_pairs_ = std::min(mtp_pairs_, n_past_ - 1);
  if (n_past_ - 1 - mtp_pairs_ > n_spare) mtp_flush();
  mtp_kv_->prepare(mtp_pairs_, n_past_);
  return n_past_ - 1 - mtp_pairs_;
}

void Session::add_draft_pairs(const DraftStep& step, Pairs& pairs) {
  if (step.kind == DraftStep::Kind::Continue) {
    const float* row = mtp_hidden_.data();
    pairs.add_text(mtp_pos_++, {&row, 1}, {&step.token, 1}, *mtp_kv_);
    return;
  }
  add_pairs(mtp_pairs_, n_past_, nullptr, step.token, pairs);
  mtp_pairs_ = mtp_pos_ = n_past_;
  mtp_next_ = step.token;
}

void Session::keep_draft(std::span<const float> hidden) {
  std::memcpy(mtp_hidden_.data(), hidden.data(), hidden.size_bytes());
}

std::span<const float> Session::mtp_begin(TokenId next) {
  const DraftStep step{this, next, DraftStep::Kind::Begin};
  batch_->mtp_step({&step, 1});
  return mtp_hidden_.span();
}

std::span<const float> Session::mtp_continue(TokenId drafted) {
  const DraftStep step{this, drafted, DraftStep::Kind::Continue};
  batch_->mtp_step({&step, 1});
  return mtp_hidden_.span();
}

}  // namespace foretoken::engine
