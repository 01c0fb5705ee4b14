// Header fields: names compare without regard to case, values are trimmed, some are comma lists
// (RFC 9110, section 5).
#pragma once

#include <string_view>

#include "http/exchange.h"

namespace foretoken::http {

/// Equal when ASCII letters are compared without regard to case.
bool same_name(std::string_view a, std::string_view b);

/// Without spaces and tabs at both ends.
std::string_view trimmed(std::string_view text);

/// First value of a header, or empty.
std::string_view find_header(const Headers& headers, std::string_view name);

/// Calls `visit` with every trimmed element of a comma list that is not empty.
template <class Visit>
void for_each_element(std::string_view list, Visit visit) {
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    const std::string_view element = trimmed(list.substr(0, comma));
    if (!element.empty()) visit(element);
    list = comma == std::string_view::npos ? std::string_view() : list.substr(comma + 1);
  }
}

}  // namespace foretoken::http
