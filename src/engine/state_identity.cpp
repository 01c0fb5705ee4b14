#include "engine/state_identity.h"

namespace foretoken::engine {

cache::StateIdentity state_identity(const Engine& engine, const SessionPools& pools) {
  const model::qwen35::Config& config = engine.config();
  cache::StateIdentity out;
  out.model_fingerprint = engine.fingerprint();
  out.kv = pools.kv->shape();
  if (pools.mtp_kv != nullptr) out.mtp_kv = pools.mtp_kv->shape();
  out.delta = config.delta;
  out.n_recurrent_layers = config.n_recurrent_layers();
  out.d_model = config.d_model;
  out.n_vocab = config.n_vocab;
  return out;
}

}  // namespace foretoken::engine
