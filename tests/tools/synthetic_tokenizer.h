// Tokenizer files of the right size without anybody's vocabulary: a byte-level BPE whose merges
// join all pairs of bytes, then pairs with a third byte, in order, with Qwen3.5's added tokens
// behind them. Valid in every respect, and useless for language.
// Source: docs/tokenizer.md, "Files" and "Added tokens".
#pragma once

#include <string>

#include "checkpoint_shape.h"

namespace foretoken::testing {

/// Writes tokenizer.json, tokenizer_config.json and generation_config.json into `folder`.
void write_synthetic_tokenizer(const CheckpointShape& shape, const std::string& folder);

}  // namespace foretoken::testing
