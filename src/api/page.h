// What is shown at "/": the page that is part of the program, a folder of somebody's own, or
// nothing. docs/web-page.md.
#pragma once

#include <string>

#include "http/router.h"

namespace foretoken::api {

struct PageOptions {
  bool enabled = true;      ///< false: every path without another route is 404 (--no-ui)
  std::string static_path;  ///< not empty: files of this folder instead of the page (--path)
};

/// Answers whatever no other route does, without an API key. Throws IoError when `static_path` is
/// not a folder. For servers that know these options before the model is loaded.
void add_page_routes(http::Router& router, const PageOptions& options);

}  // namespace foretoken::api
