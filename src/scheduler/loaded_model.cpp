#include "scheduler/loaded_model.h"

#include <utility>

#include "base/error.h"
#include "engine/mtp_drafter.h"
#include "engine/state_identity.h"

namespace foretoken::scheduler {
namespace {

using engine::SpeculationOptions;

bool wants_drafts(const SchedulerOptions& options) {
  return options.speculation.type != SpeculationOptions::Type::None &&
         options.speculation.limits.n_max > 0;
}

engine::SessionOptions session_options(const SchedulerOptions& options) {
  engine::SessionOptions out;
  out.n_context = options.n_context;
  out.n_batch = options.n_batch;
  out.kv_types = options.kv_types;
  out.use_mtp = wants_drafts(options);
  out.n_checkpoints = 0;
  return out;
}

}  // namespace

LoadedModel::LoadedModel(std::unique_ptr<engine::Engine> engine, const SchedulerOptions& options)
    : LoadedModel(*engine, options) {
  owned_ = std::move(engine);
}

LoadedModel::LoadedModel(engine::Engine& engine, const SchedulerOptions& options)
    : engine_(engine),
      pools_(engine::make_session_pools(engine, session_options(options),
                                        options.n_batch + options.n_slots * kernels::kMaxPending)) {
  if (options.speculation.type == SpeculationOptions::Type::DraftMtp &&
      engine.mtp_head() == nullptr) {
    throw RequestError(
        "--spec-type draft-mtp: this model file has no MTP head (tensors blk.N.nextn.*); graft one "
        "from the base model, or use --spec-type auto or none");
  }
  for (int slot = 0; slot < options.n_slots; ++slot) {
    sessions_.push_back(
        std::make_unique<engine::Session>(engine, session_options(options), pools_));
  }
  if (wants_drafts(options) && engine.mtp_head() != nullptr) {
    drafter_ = std::make_shared<engine::MtpDrafter>(engine, options.speculation.draft_vocabulary);
  }
}

cache::StateIdentity LoadedModel::identity() const {
  return engine::state_identity(engine_, pools_);
}

}  // namespace foretoken::scheduler
