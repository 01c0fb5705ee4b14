// Lists of numbers as llama-bench takes them: "512,1024", "1-4", "0-32768+8192", "1-16*2".
// Source: llama.cpp, tools/llama-bench/README.md (September 2026).
#pragma once

#include <string_view>
#include <vector>

namespace foretoken::eval {

/// What a list may hold, and its name for errors.
struct NumberListRules {
  std::string_view name;  ///< the option, "-p"
  int least = 0;
  int most = 1 << 24;
};

/// Numbers and ranges separated by commas, in the order given. A range first-last includes both
/// ends, stepping by 1, by +N or by factor *N; a last number the step misses is left out. Throws
/// RequestError naming the item for anything malformed, out of range, or more than 1000 numbers.
std::vector<int> parse_number_list(std::string_view text, const NumberListRules& rules);

}  // namespace foretoken::eval
