// Whether this program runs under a sanitizer. It is then ten times slower, and walks the same
// paths on a part of the data.
#pragma once

namespace foretoken {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace foretoken
