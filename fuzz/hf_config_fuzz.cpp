// config.json of a checkpoint: read or refused with an Error, never anything else; what is read has
// dimensions that multiply without overflow.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "convert/hf_config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace foretoken;
  try {
    const convert::HfConfig config = convert::parse_hf_config(
        std::string_view(reinterpret_cast<const char*>(data), size), "config.json");
    const bool sound = config.n_layers > 0 && config.d_model > 0 && config.n_vocab > 0 &&
                       config.n_rot() > 0 && config.n_rot() <= config.head_dim &&
                       config.conv_channels() > 0 && config.n_v_heads % config.n_k_heads == 0 &&
                       config.is_recurrent.size() == static_cast<std::size_t>(config.n_layers);
    if (!sound) std::abort();
  } catch (const Error&) {  // refused, as it should be
  }
  return 0;
}
