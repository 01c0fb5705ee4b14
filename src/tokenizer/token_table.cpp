#include "tokenizer/token_table.h"

#include <fmt/format.h>

#include <limits>

#include "base/error.h"
#include "base/text.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/vocabulary.h"

namespace foretoken::tokenizer {

TokenTable::TokenTable(const Vocabulary& vocabulary) : kinds_(vocabulary.kinds) {
  const std::size_t n_tokens = vocabulary.spellings.size();
  if (kinds_.size() != n_tokens || n_tokens > std::numeric_limits<TokenId>::max()) {
    throw FormatError(fmt::format("{}: {} has {} tokens but {} kinds are known", vocabulary.file,
                                  vocabulary.tokens_key, n_tokens, kinds_.size()));
  }
  starts_.reserve(n_tokens + 1);
  for (std::size_t id = 0; id < n_tokens; ++id) {
    const std::string& spelling = vocabulary.spellings[id];
    starts_.push_back(bytes_.size());
    // Older converters call padding slots UserDefined, which would make "[PAD7]" match in a text.
    if (is_padding_name(spelling, id)) kinds_[id] = TokenKind::Unused;
    if (is_added(kinds_[id])) {
      bytes_ += spelling;
      continue;
    }
    const auto bytes = decode_byte_symbols(spelling);
    if (!bytes && kinds_[id] != TokenKind::Unused) {
      throw FormatError(
          fmt::format("{}: {}[{}] is {}; expected characters of the byte alphabet only",
                      vocabulary.file, vocabulary.tokens_key, id, foretoken::quoted(spelling)));
    }
    bytes_ += bytes ? *bytes : spelling;
  }
  starts_.push_back(bytes_.size());
  n_real_ = static_cast<int>(n_tokens);
  while (n_real_ > 0 && kind(n_real_ - 1) == TokenKind::Unused) --n_real_;
}

}  // namespace foretoken::tokenizer
