#include "cache/checkpoint.h"

namespace foretoken::cache {

std::size_t Checkpoint::own_bytes() const {
  return recurrent.size_bytes() + hidden.size() * sizeof(float) + tokens.size() * sizeof(TokenId);
}

}  // namespace foretoken::cache
