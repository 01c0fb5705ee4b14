// The files of the chat page that are part of the program (web/dist; cmake/web_page.cmake).
#pragma once

#include <span>
#include <string_view>

namespace foretoken::api {

struct PageFile {
  std::string_view path;  ///< "/page.js"
  std::string_view etag;  ///< weak, since both forms share it: W/"..."
  std::string_view plain;
  std::string_view gzip;  ///< the same bytes, compressed at build time
};

/// In order of their names; constant, for the life of the program.
std::span<const PageFile> page_files();

}  // namespace foretoken::api
