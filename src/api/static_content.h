// What any answer with a file's content needs: its type, and what the client's headers say about
// copies it has and encodings it reads.
// Source: RFC 9110, sections 8.8.3 (entity tags), 12.5.3 (Accept-Encoding), 13.1.2 (If-None-Match).
#pragma once

#include <string_view>

namespace foretoken::api {

/// By the path's ending; "application/octet-stream" for an unknown one.
std::string_view content_type_of(std::string_view path);

/// True when Accept-Encoding lists gzip (or "*") with a weight above zero.
bool accepts_gzip(std::string_view accept_encoding);

/// True when If-None-Match names this entity tag or "*". Tags compare weakly.
bool has_copy(std::string_view if_none_match, std::string_view etag);

}  // namespace foretoken::api
