// See random_id.h.
#include "api/random_id.h"

#include <random>
#include <string_view>

namespace foretoken::api {

std::string random_id() {
  static constexpr std::string_view kAlphabet =
      "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  std::random_device device;  // the system's generator; one draw holds five characters
  std::string id;
  while (id.size() < 32) {
    // 62^5 < 2^30: five characters from the low 30 bits, numbers beyond 62^5 are drawn again.
    static constexpr unsigned kFive = 62U * 62 * 62 * 62 * 62;
    unsigned number = device() & ((1U << 30) - 1);
    if (number >= kFive) continue;
    for (int i = 0; i < 5 && id.size() < 32; ++i, number /= 62) id += kAlphabet[number % 62];
  }
  return id;
}

}  // namespace foretoken::api
