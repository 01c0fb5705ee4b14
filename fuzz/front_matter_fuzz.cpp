// The front matter of a model card and the names in it: any text is read without an error, and what
// comes out has the few forms that its header promises.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "convert/front_matter.h"
#include "convert/model_id.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace foretoken::convert;
  const auto card = parse_front_matter(std::string_view(reinterpret_cast<const char*>(data), size));
  for (const auto& value : card) {
    if (value.is_object() || value.is_number()) std::abort();
    if (!value.is_string()) continue;
    const std::string text = value.get<std::string>();
    const ModelId id = parse_model_id(text, 9'000'000'000U);
    id_to_title(id.name);
  }
  return 0;
}
