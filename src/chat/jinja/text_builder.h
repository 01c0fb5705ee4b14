// Collects output text under the budget: every append is charged before it happens, so that no
// sequence of small operations can outgrow memory.
#pragma once

#include <string_view>
#include <utility>

#include "chat/jinja/context.h"
#include "chat/jinja/text.h"

namespace foretoken::chat::jinja {

class TextBuilder {
 public:
  explicit TextBuilder(Context& context) : context_(context) {}

  void append(std::string_view bytes, bool trusted) {
    charge(bytes.size());
    text_.append(bytes, trusted);
  }
  void append(const Text& other) { append(other, 0, other.size()); }
  void append(const Text& other, std::size_t begin, std::size_t end) {
    charge(end - begin);
    text_.append(other, begin, end);
  }
  const Text& text() const { return text_; }
  Text take() { return std::move(text_); }
  Context& context() { return context_; }

 private:
  void charge(std::size_t n) {
    context_.charge_bytes(n + sizeof(Text::Run));
    context_.charge_scan(n);
  }

  Context& context_;
  Text text_;
};

}  // namespace foretoken::chat::jinja
