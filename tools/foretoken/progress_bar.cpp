#include "progress_bar.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace foretoken::tools {
namespace {

using std::chrono::steady_clock;

constexpr auto kDelay = std::chrono::milliseconds(300);
constexpr auto kInterval = std::chrono::milliseconds(100);
constexpr int kCells = 24;

bool plain_terminal_wanted() {
  const char* no_colour = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  return (no_colour != nullptr && *no_colour != '\0') ||
         (term != nullptr && std::string(term) == "dumb");
}

}  // namespace

ProgressBar::ProgressBar(std::string label)
    : label_(std::move(label)),
      enabled_(isatty(STDERR_FILENO) != 0),
      start_(steady_clock::now()),
      last_(start_) {}

ProgressBar::~ProgressBar() {
  if (shown_) fmt::print(stderr, "\r\033[K");
}

void ProgressBar::update_bytes(std::size_t done, std::size_t total) {
  const double mib = 1024.0 * 1024.0;
  draw(done, total,
       fmt::format("{:.0f}/{:.0f} MiB", static_cast<double>(done) / mib,
                   static_cast<double>(total) / mib));
}

void ProgressBar::update(std::size_t done, std::size_t total, const char* unit) {
  draw(done, total, fmt::format("{}/{} {}", done, total, unit));
}

void ProgressBar::draw(std::size_t done, std::size_t total, const std::string& amounts) {
  const auto now = steady_clock::now();
  if (!enabled_ || total == 0 || now - start_ < kDelay || now - last_ < kInterval) return;
  last_ = now;
  shown_ = true;
  const double fraction = std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const double remaining = fraction > 0.0 ? seconds / fraction - seconds : 0.0;
  const int filled = static_cast<int>(fraction * kCells);
  fmt::print(stderr, "\r\033[K{} [{:━<{}}{: <{}}] {:3.0f} %  {}  {:.0f} s left", label_, "", filled,
             "", kCells - filled, fraction * 100.0, amounts, remaining);
  std::fflush(stderr);
}

bool colours_on_stdout() { return isatty(STDOUT_FILENO) != 0 && !plain_terminal_wanted(); }
bool colours_on_stderr() { return isatty(STDERR_FILENO) != 0 && !plain_terminal_wanted(); }

}  // namespace foretoken::tools
