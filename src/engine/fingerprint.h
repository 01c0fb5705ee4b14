// A number that tells models apart: states kept on disk belong to the weights that made them, and
// what another model left would be taken for keys and values without complaint.
#pragma once

#include <cstdint>

#include "model/qwen35/weights.h"
#include "tokenizer/tokenizer.h"

namespace foretoken::engine {

/// Hash of the hyper-parameters, of every tensor's name, type, shape and two stretches of its bytes
/// (of the separate head file's, too), and of the tokenizer's vocabulary. The same on every
/// machine; independent of the file's name and of metadata that does not change what is computed.
/// Reads a few KiB per tensor. Not meant against forgery.
std::uint64_t model_fingerprint(const model::qwen35::Weights& weights,
                                const tokenizer::Tokenizer& tokenizer);

}  // namespace foretoken::engine
