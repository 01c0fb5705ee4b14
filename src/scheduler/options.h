// What a scheduler is told when it is made: slots, memory, bounds and defaults. The flags they come
// from are in docs/scheduling.md.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "base/log.h"
#include "base/token.h"
#include "cache/kv_cache.h"
#include "engine/generate.h"

namespace foretoken::scheduler {

struct SchedulerOptions {
  int n_slots = 1;       ///< requests worked on at a time, 1 .. kMaxSlots
  int n_context = 4096;  ///< tokens per slot
  int n_batch = 512;     ///< most prompt tokens of a pass
  cache::KvTypes kv_types;

  std::size_t cache_bytes = std::size_t{8} << 30;  ///< bound of the prefix cache
  int checkpoint_step = 1024;                      ///< spacing of checkpoints inside long messages
  /// The token that opens a message; empty: the vocabulary's <|im_start|>, if it has one.
  std::optional<TokenId> turn_start;

  /// What requests may ask for at most: a longer n_max is cut to this one, and None is none for
  /// all.
  engine::SpeculationOptions speculation;
  /// Columns of a pass that drafts may fill, last tokens of the sequences included; drafts beyond
  /// cost more than they bring once a pass computes longer than it waits for memory.
  int column_budget = 8;

  int max_queue = 512;  ///< requests that may wait for a slot
  /// Prompts are read in stretches so that running replies get a token at least this often (or, on
  /// a machine where a step alone takes longer, every second step's time).
  double target_inter_token_ms = 200.0;

  std::string state_directory;       ///< prefix cache kept across restarts; empty: not
  double sleep_idle_seconds = -1.0;  ///< > 0: unload the model after that long without work
  bool slots_debug = false;          ///< tokens in slots()
  LogSink log;
};

inline constexpr int kMaxSlots = 256;

/// Throws RequestError naming the option, its value and what is allowed.
void validate(const SchedulerOptions& options);

}  // namespace foretoken::scheduler
