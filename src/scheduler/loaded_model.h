// An engine with everything the worker needs on top of it, loaded and dropped as a whole: pages and
// working memory shared by all slots, a session per slot, the drafter of all sequences, and the
// measured costs of passes.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "cache/checkpoint_file.h"
#include "engine/batch.h"
#include "engine/cost_table.h"
#include "engine/draft.h"
#include "engine/engine.h"
#include "engine/session.h"
#include "scheduler/options.h"

namespace foretoken::scheduler {

class LoadedModel {
 public:
  /// Throws RequestError for options this model cannot serve (drafts without a head).
  LoadedModel(engine::Engine& engine, const SchedulerOptions& options);
  LoadedModel(std::unique_ptr<engine::Engine> engine, const SchedulerOptions& options);

  engine::Engine& engine() const { return engine_; }
  engine::Batch& batch() { return *pools_.batch; }
  engine::Session& session(int slot) { return *sessions_[static_cast<std::size_t>(slot)]; }
  const engine::SessionPools& pools() const { return pools_; }
  /// Empty when nothing is to be drafted.
  const std::shared_ptr<engine::Drafter>& drafter() const { return drafter_; }
  const std::shared_ptr<engine::CostTable>& costs() const { return costs_; }
  /// What the newest reply that drafted has learnt; null before.
  const engine::DraftExperience* experience() const {
    return experience_ ? &*experience_ : nullptr;
  }
  void remember(const engine::DraftExperience& experience) { experience_ = experience; }
  /// What state files of this model belong to.
  cache::StateIdentity identity() const;

 private:
  std::unique_ptr<engine::Engine> owned_;  // null: somebody else's
  engine::Engine& engine_;
  engine::SessionPools pools_;
  std::vector<std::unique_ptr<engine::Session>> sessions_;
  std::shared_ptr<engine::Drafter> drafter_;
  std::optional<engine::DraftExperience> experience_;
  std::shared_ptr<engine::CostTable> costs_ = std::make_shared<engine::CostTable>();
};

}  // namespace foretoken::scheduler
