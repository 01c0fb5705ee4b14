// The prefix cache as the worker uses it: where a prompt goes on from and why not from further,
// what is kept of a request, slot files, and the folder that lets it survive a restart.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cache/checkpoint_file.h"
#include "cache/prefix_cache.h"
#include "engine/session.h"
#include "scheduler/loaded_model.h"
#include "scheduler/options.h"
#include "scheduler/service.h"

namespace foretoken::scheduler {

/// Where a prompt goes on from.
struct PrefixMatch {
  cache::CheckpointPtr checkpoint;  ///< null: from the beginning
  std::vector<int> plan;            ///< where it shall leave checkpoints
  /// Why nothing was found, a word for metrics: "cold" (nothing begins like it), "no_checkpoint"
  /// (something does, but no state was kept early enough) or "disabled"; empty on a hit.
  std::string miss;
  std::size_t n_common = 0;  ///< tokens that something in the cache shares with it
};

class PrefixStore {
 public:
  PrefixStore(const SchedulerOptions& options, const engine::Engine& engine);

  /// Requires a prompt with at least one token; the match leaves at least one to process.
  PrefixMatch match(const Request& request);
  void add(cache::CheckpointPtr checkpoint);
  cache::PrefixCacheStats stats() const { return cache_->stats(); }

  // ---- Slot files; the session holds the slot's sequence. Errors are in the result. ----
  SlotActionResult save(const std::string& path, LoadedModel& model, engine::Session& session);
  SlotActionResult restore(const std::string& path, LoadedModel& model, engine::Session& session);
  SlotActionResult erase(engine::Session& session);

  // ---- The state directory; nothing happens without one. Errors go to the log. ----
  void load(const LoadedModel& model);
  void persist(const LoadedModel& model) const;
  /// Gives all memory back.
  void clear();

 private:
  std::string file() const;
  void log(LogLevel level, const std::string& text) const;

  SchedulerOptions options_;
  TokenId turn_start_ = -1;
  std::unique_ptr<cache::PrefixCache> cache_;
};

}  // namespace foretoken::scheduler
