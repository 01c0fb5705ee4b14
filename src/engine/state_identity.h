// What states on disk belong to, for the sessions of an engine.
#pragma once

#include "cache/checkpoint_file.h"
#include "engine/session.h"

namespace foretoken::engine {

/// For checkpoints of sessions with these pools.
cache::StateIdentity state_identity(const Engine& engine, const SessionPools& pools);

}  // namespace foretoken::engine
