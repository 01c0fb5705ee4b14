// Reads the tokenizer.* keys of a GGUF file.
// Source: docs/tokenizer.md, "Files"; key names and value types as llama.cpp writes them.
#pragma once

#include "tokenizer/vocabulary.h"

namespace foretoken::gguf {
class File;
}

namespace foretoken::tokenizer {

/// Throws FormatError for an absent or malformed key and UnsupportedError for a tokenizer that is
/// not byte-level BPE.
Vocabulary read_gguf_vocabulary(const gguf::File& file);

}  // namespace foretoken::tokenizer
