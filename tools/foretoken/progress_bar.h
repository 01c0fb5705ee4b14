// A one-line progress bar on standard error: shown only on a terminal, only when the work takes
// longer than a moment, and wiped when done, so that it never ends up in a log.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace foretoken::tools {

class ProgressBar {
 public:
  explicit ProgressBar(std::string label);
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  ~ProgressBar();  ///< wipes the line

  /// Amounts in bytes; shows rate and remaining time.
  void update_bytes(std::size_t done, std::size_t total);
  /// Amounts in `unit` ("tokens").
  void update(std::size_t done, std::size_t total, const char* unit);

 private:
  void draw(std::size_t done, std::size_t total, const std::string& amounts);

  std::string label_;
  bool enabled_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point last_;
};

/// Whether standard output / standard error is a terminal that may be coloured (NO_COLOR unset).
bool colours_on_stdout();
bool colours_on_stderr();

}  // namespace foretoken::tools
