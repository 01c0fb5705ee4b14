#include "tokenizer/vocabulary.h"

namespace foretoken::tokenizer {

bool is_padding_name(std::string_view spelling, std::size_t id) {
  return spelling.starts_with("[PAD") && spelling == "[PAD" + std::to_string(id) + "]";
}

}  // namespace foretoken::tokenizer
