// Whether two models read text alike: tokens, added tokens and merges, not the bytes of the files
// that hold them, which differ in layout between versions of the same library.
// Source: docs/graft.md, "Tokenizers".
#pragma once

#include <string>
#include <vector>

#include "convert/graft_input.h"
#include "tokenizer/vocabulary.h"

namespace foretoken::convert {

/// Sentences for people, safe to print.
struct TokenizerMatch {
  std::vector<std::string> differences;  ///< the same text can become other ids
  std::vector<std::string> notes;        ///< added tokens, tokenizers that are not there
};

/// Compares two vocabularies; `base` and `finetune` name them. Slots without a token ("[PAD7]", or
/// past the end) that the other side fills are notes: tokens that somebody added.
TokenizerMatch compare_vocabularies(const tokenizer::Vocabulary& base,
                                    const tokenizer::Vocabulary& finetune,
                                    const std::string& base_name, const std::string& finetune_name);

/// Reads both and compares. A side without a readable tokenizer gives a note.
TokenizerMatch match_tokenizers(const GraftInput& base, const GraftInput& finetune);

}  // namespace foretoken::convert
