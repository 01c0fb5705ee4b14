// Names of slot files come from clients, the folder from the operator.
#pragma once

#include <string>

namespace foretoken::api {

/// `name`, if it is a plain file name that stays inside any folder on any system. Throws
/// RequestError for an empty or over-long one, separators, "..", leading dots, control characters.
std::string checked_slot_file_name(const std::string& name);

}  // namespace foretoken::api
