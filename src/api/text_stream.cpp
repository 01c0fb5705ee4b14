// See text_stream.h.
#include "api/text_stream.h"

#include <algorithm>
#include <utility>

namespace foretoken::api {
namespace {

/// Length of the longest suffix of `text` that is a proper prefix of `word`.
std::size_t overlap(std::string_view text, std::string_view word) {
  for (std::size_t n = std::min(text.size(), word.size() - 1); n > 0; --n) {
    if (text.ends_with(word.substr(0, n))) return n;
  }
  return 0;
}

}  // namespace

TextStream::TextStream(const tokenizer::Tokenizer& tokenizer, TextStreamOptions options)
    : options_(std::move(options)), decoder_(tokenizer, !options_.show_control) {}

std::string TextStream::push(TokenId token) {
  pending_ += decoder_.push(token);
  return release();
}

std::string TextStream::finish() {
  if (ended_) return {};
  pending_ += decoder_.flush();
  std::string text = release();
  if (!ended_) text += cut_at_indent(std::exchange(pending_, {}));
  return text;
}

std::string TextStream::release() {
  std::size_t first = std::string::npos;
  for (const std::string& word : options_.stop) {
    const std::size_t at = pending_.find(word);
    if (at < first) {
      first = at;
      stopping_word_ = word;
    }
  }
  if (first != std::string::npos) {
    ended_ = true;
    pending_.resize(first);
    return cut_at_indent(std::exchange(pending_, {}));
  }
  std::size_t held = 0;
  for (const std::string& word : options_.stop) held = std::max(held, overlap(pending_, word));
  std::string text = pending_.substr(0, pending_.size() - held);
  pending_.erase(0, text.size());
  return cut_at_indent(std::move(text));
}

std::string TextStream::cut_at_indent(std::string text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n') {
      has_new_line_ = true;
      indent_ = 0;
    } else if (indent_ >= 0) {
      if (text[i] == ' ' || text[i] == '\t') {
        ++indent_;
      } else if (indent_ < options_.n_indent) {
        ended_ = true;
        stopping_word_.clear();
        text.resize(i);
      } else {
        indent_ = -1;
      }
    }
  }
  return text;
}

}  // namespace foretoken::api
