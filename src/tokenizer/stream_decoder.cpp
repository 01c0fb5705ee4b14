#include "tokenizer/stream_decoder.h"

#include "tokenizer/tokenizer.h"
#include "tokenizer/utf8.h"

namespace foretoken::tokenizer {
namespace {

constexpr char32_t kReplacement = 0xFFFD;

}  // namespace

std::string StreamDecoder::push(TokenId id) {
  const std::string_view piece = tokenizer_->piece(id);
  if (hide_control_ && tokenizer_->kind(id) == TokenKind::Control) return {};
  const std::string bytes = pending_ + std::string(piece);
  pending_.clear();
  std::string text;
  text.reserve(bytes.size());
  for (std::size_t pos = 0; pos < bytes.size();) {
    const Utf8Step step = utf8_step(bytes, pos);
    if (step.truncated) {
      pending_ = bytes.substr(pos);
      break;
    }
    if (step.valid) {
      text.append(bytes, pos, step.length);
    } else {
      append_utf8(text, kReplacement);
    }
    pos += step.length;
  }
  return text;
}

std::string StreamDecoder::flush() {
  // What waits is the start of one character, hence one maximal subpart.
  std::string text;
  if (!pending_.empty()) append_utf8(text, kReplacement);
  pending_.clear();
  return text;
}

}  // namespace foretoken::tokenizer
