// The tokenizer.* keys of a model file from the tokenizer files of a checkpoint: tokens, their
// kinds, merges, special ids, chat template.
// Source: docs/convert.md, "Tokenizer keys"; conversion/base.py and gguf-py/gguf/vocab.py of
// llama.cpp de3ff815.
#pragma once

#include <string>

#include "gguf/writer.h"

namespace foretoken::convert {

/// Sets the keys for the tokenizer in `folder`, filled up with [PADi] to `n_vocab` tokens, in the
/// converter's order. Throws FormatError or UnsupportedError for tokenizer files that are malformed
/// or outside the family's subset (tokenizer/hf_tokenizer_json.h) or that have more tokens than
/// `n_vocab`, IoError.
void write_tokenizer_keys(const std::string& folder, int n_vocab, gguf::Writer& keys);

}  // namespace foretoken::convert
