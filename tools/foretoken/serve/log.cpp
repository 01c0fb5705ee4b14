#include "serve/log.h"

#include <fmt/format.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "progress_bar.h"

namespace foretoken::tools {
namespace {

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::Debug:
      return spdlog::level::debug;
    case LogLevel::Info:
      return spdlog::level::info;
    case LogLevel::Warning:
      return spdlog::level::warn;
    case LogLevel::Error:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

spdlog::level::level_enum threshold(const ServeLogOptions& options) {
  if (options.disabled || options.verbosity <= 0) return spdlog::level::off;
  if (options.verbose || options.verbosity >= 4) return spdlog::level::debug;
  if (options.verbosity == 1) return spdlog::level::err;
  return options.verbosity == 2 ? spdlog::level::warn : spdlog::level::info;
}

std::string pattern(const ServeLogOptions& options) {
  std::string out;
  if (options.timestamps) out += "%H:%M:%S.%e ";
  if (options.prefix) out += "%^%l%$ ";
  return out + (options.prefix ? "%v" : "%^%v%$");
}

spdlog::color_mode colours(const ServeLogOptions& options) {
  if (options.colors == "on" || options.colors.empty()) return spdlog::color_mode::always;
  if (options.colors == "off" || !colours_on_stderr()) return spdlog::color_mode::never;
  return spdlog::color_mode::automatic;
}

// One record as JSON, so that a text with quotes or line breaks stays one line.
std::string json_record(LogLevel level, std::string_view text) {
  const nlohmann::ordered_json record = {
      {"level", spdlog::level::to_string_view(to_spdlog(level)).data()},
      {"time",
       std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count()},
      {"message", std::string(text)}};
  return record.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace

LogSink make_log(const ServeLogOptions& options) {
  std::vector<spdlog::sink_ptr> sinks;
  const auto terminal = std::make_shared<spdlog::sinks::stderr_color_sink_mt>(colours(options));
  terminal->set_color(spdlog::level::info, "");  // only what is wrong stands out
  sinks.push_back(terminal);
  if (!options.file.empty()) {
    try {
      sinks.push_back(std::make_shared<spdlog::sinks::basic_file_sink_mt>(options.file));
    } catch (const spdlog::spdlog_ex& error) {
      throw IoError(
          fmt::format("--log-file {}: cannot be written: {}", options.file, error.what()));
    }
  }
  const auto logger = std::make_shared<spdlog::logger>("", sinks.begin(), sinks.end());
  logger->set_level(threshold(options));
  logger->set_pattern(options.jsonl ? "%v" : pattern(options));
  logger->flush_on(spdlog::level::info);
  const bool jsonl = options.jsonl;
  return [logger, jsonl](LogLevel level, std::string_view text) {
    if (!logger->should_log(to_spdlog(level))) return;
    if (jsonl) {
      logger->log(to_spdlog(level), json_record(level, text));
    } else {
      logger->log(to_spdlog(level), text);
    }
  };
}

}  // namespace foretoken::tools
