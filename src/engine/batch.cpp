#include "engine/batch.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "engine/hidden_ring.h"

namespace foretoken::engine {
namespace {

using model::qwen35::PassPart;
using model::qwen35::RopePosition;
using model::qwen35::StateCopy;

std::size_t z(int n) { return static_cast<std::size_t>(n); }

int checked_rows(int max_rows) {
  if (max_rows >= 1 && max_rows <= 1 << 16) return max_rows;
  throw RequestError(fmt::format("{} rows a pass are out of range; use 1 to 65536", max_rows));
}

bool is_prompt(const BatchPart& part) { return part.kind == BatchPart::Kind::Prompt; }

void check_points(const BatchPart& part) {
  int last = part.session->n_past();
  const int end = last + static_cast<int>(part.tokens.size());
  for (const int at : part.checkpoints_at) {
    if (!is_prompt(part) || at <= last || at > end) {
      throw RequestError(fmt::format(
          "a checkpoint after {} tokens cannot be taken in this pass; prompt parts take "
          "them in ascending order, here after {} to {}",
          at, part.session->n_past() + 1, end));
    }
    last = at;
  }
}

}  // namespace

// Where a part's rows stand in the pass, and the copies of its state made on the way.
struct Batch::Rows {
  std::size_t part = 0;  // index into the parts
  int first = 0;
  std::vector<cache::RecurrentState::Snapshot> snapshots;
  std::vector<StateCopy> copies;
};

Batch::Batch(Engine& engine, int max_rows)
    : engine_(engine),
      max_rows_(checked_rows(max_rows)),
      workspace_(engine.config(), std::max(max_rows, kHiddenRing)),
      hidden_(z(max_rows) * z(engine.config().d_model)) {}

void Batch::check(std::span<const BatchPart> parts) const {
  std::size_t n_rows = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const BatchPart& part = parts[i];
    if (&part.session->engine() != &engine_) {
      throw RequestError("a session of another engine cannot take part in this pass");
    }
    for (std::size_t other = 0; other < i; ++other) {
      if (parts[other].session == part.session) {
        throw RequestError("a session can take part in a pass only once");
      }
    }
    if (part.tokens.empty() || (!is_prompt(part) && part.tokens.size() > kernels::kMaxPending)) {
      throw RequestError(fmt::format("a run takes 1 to {} tokens, not {}",
                                     is_prompt(part) ? max_rows_ : kernels::kMaxPending,
                                     part.tokens.size()));
    }
    part.session->check_tokens(part.tokens);
    check_points(part);
    n_rows += part.tokens.size();
  }
  if (n_rows > z(max_rows_)) {
    throw RequestError(fmt::format("a pass of {} tokens is too long; this batch has room for {}",
                                   n_rows, max_rows_));
  }
}

std::vector<BatchOutput> Batch::run(std::span<const BatchPart> parts) {
  check(parts);
  if (parts.empty()) return {};
  std::vector<Rows> pass = make_room(parts);
  std::vector<TokenId> tokens;
  std::vector<RopePosition> rope;
  std::vector<PassPart> pass_parts;
  for (Rows& rows : pass) {
    const BatchPart& part = parts[rows.part];
    rows.first = static_cast<int>(tokens.size());
    tokens.insert(tokens.end(), part.tokens.begin(), part.tokens.end());
    PassPart& at = pass_parts.emplace_back(part.session->begin_pass(part.tokens, is_prompt(part)));
    at.copies = rows.copies;
    for (int p = at.first_pos; p < at.first_pos + at.n; ++p) {
      rope.push_back({p, p, p});  // text: time, height and width advance together
    }
  }
  engine_.text_model().forward(tokens, rope, pass_parts, workspace_, hidden_.data());
  if (engine_.mtp_head() != nullptr) catch_up_head(parts, pass);
  for (const Rows& rows : pass) {
    parts[rows.part].session->end_pass(hidden_of(rows.first), is_prompt(parts[rows.part]));
  }
  return collect(parts, pass);
}

// Puts the parts in order: rows whose logits are wanted first, so that they stand together. Takes
// everything that may be refused for want of memory, before any session changes.
std::vector<Batch::Rows> Batch::make_room(std::span<const BatchPart> parts) {
  std::vector<Rows> pass;
  std::size_t n_logits = 0;
  for (const bool prompts : {false, true}) {
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (is_prompt(parts[i]) != prompts) continue;
      pass.emplace_back().part = i;
      if (!prompts) n_logits += parts[i].tokens.size();
    }
  }
  logits_.grow_to(n_logits * z(engine_.config().n_vocab));
  for (Rows& rows : pass) {
    const BatchPart& part = parts[rows.part];
    part.session->make_room(static_cast<int>(part.tokens.size()), is_prompt(part));
    rows.snapshots.reserve(part.checkpoints_at.size());
    for (const int at : part.checkpoints_at) {
      rows.snapshots.push_back(part.session->recurrent_.make_snapshot());
      rows.copies.push_back({at - part.session->n_past(), &rows.snapshots.back()});
    }
  }
  return pass;
}

// The outputs, in the order of the parts.
std::vector<BatchOutput> Batch::collect(std::span<const BatchPart> parts, std::span<Rows> pass) {
  const std::size_t width = z(engine_.config().d_model);
  const std::size_t n_vocab = z(engine_.config().n_vocab);
  std::vector<BatchOutput> out(parts.size());
  int n_logits = 0;
  for (Rows& rows : pass) {
    const BatchPart& part = parts[rows.part];
    for (std::size_t i = 0; i < rows.copies.size(); ++i) {
      const float* hidden = hidden_of(rows.first + rows.copies[i].n_rows - 1);
      out[rows.part].checkpoints.push_back(part.session->make_checkpoint(
          part.checkpoints_at[i], std::move(rows.snapshots[i]), {hidden, width}));
    }
    if (is_prompt(part)) continue;
    n_logits += static_cast<int>(part.tokens.size());
    out[rows.part].logits = {logits_.data() + z(rows.first) * n_vocab,
                             part.tokens.size() * n_vocab};
  }
  if (n_logits > 0) logits(hidden_.data(), n_logits);
  return out;
}

// Stores the pairs that prompt parts complete: from where the head stands to the last row but one,
// whose successor is the last token known. In slices of what the workspace holds, since a head may
// lag behind its part.
void Batch::catch_up_head(std::span<const BatchPart> parts, std::span<const Rows> pass) {
  pairs_.clear();
  const auto flush = [&] {
    if (pairs_.n() > 0) engine_.mtp_head()->catch_up(pairs_, workspace_);
    pairs_.clear();
  };
  for (const Rows& rows : pass) {
    Session& session = *parts[rows.part].session;
    if (!is_prompt(parts[rows.part]) || !session.has_mtp()) continue;
    const int end = session.n_past_ + session.n_run_ - 1;
    while (session.mtp_pairs_ < end) {
      const int n = std::min(end - session.mtp_pairs_, workspace_.max_tokens - pairs_.n());
      session.add_pairs(session.mtp_pairs_, session.mtp_pairs_ + n, hidden_of(rows.first), -1,
                        pairs_);
      session.mtp_pairs_ += n;
      if (pairs_.n() == workspace_.max_tokens) flush();
    }
  }
  flush();
}

const float* Batch::hidden_of(int row) const {
  return hidden_.data() + z(row) * z(engine_.config().d_model);
}

std::span<const float> Batch::mtp_step(std::span<const DraftStep> steps) {
  const std::size_t width = z(engine_.config().d_model);
  // The newest pair of everybody must fit; who lags too far for the rest catches up beforehand.
  int n_spare = workspace_.max_tokens - static_cast<int>(steps.size());
  for (const DraftStep& step : steps) n_spare -= step.session->make_draft_room(step, n_spare);
  pairs_.clear();
  for (const DraftStep& step : steps) step.session->add_draft_pairs(step, pairs_);
  drafts_.grow_to(steps.size() * width);
  if (!steps.empty()) engine_.mtp_head()->step(pairs_, workspace_, drafts_.data());
  for (std::size_t i = 0; i < steps.size(); ++i) {
    steps[i].session->keep_draft(drafts_.span().subspan(i * width, width));
  }
  return drafts_.span().first(steps.size() * width);
}

std::span<const float> Batch::logits(const float* hidden, int n) {
  const std::size_t size = z(n) * z(engine_.config().n_vocab);
  logits_.grow_to(size);
  engine_.text_model().logits(hidden, n, logits_.data());
  return {logits_.data(), size};
}

}  // namespace foretoken::engine
