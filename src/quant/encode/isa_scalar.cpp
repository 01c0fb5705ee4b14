// The encoders in plain C++. See isa_avx2.cpp for the rule about includes.

#include "quant/encode/encode_all.h"
#include "quant/encode/lanes_scalar.h"

namespace foretoken::quant {

constinit const EncodeTable kEncodeScalar = make_encode_table<LanesScalar>();

}  // namespace foretoken::quant
