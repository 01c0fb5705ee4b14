// What the program measures with when it is given nothing: a short text and a set of prompts, both
// written for this project and embedded at build time (cmake/bundled_data.cmake), so that figures
// of two files can be compared without a download.
#pragma once

#include <string_view>

namespace foretoken::eval {

/// src/eval/data/bundled_text.txt, about 9 KB of UTF-8: English prose of several kinds, a few other
/// languages, code, tables, a proof.
std::string_view bundled_text();

/// src/eval/data/acceptance_prompts.json; eval/acceptance_prompts.h reads it.
std::string_view bundled_acceptance_prompts();

}  // namespace foretoken::eval
