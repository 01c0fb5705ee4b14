// GET /metrics: counters and gauges in Prometheus' text format, under the names that dashboards for
// llama.cpp's server read, and our own beside them.
// Source of names: docs/http-api.md, "Metrics". Format: Prometheus, "Exposition formats", 0.0.4.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "api/context.h"
#include "scheduler/service.h"

namespace foretoken::api {

/// Takes the service's metrics and keeps what lasts over several calls: histograms of latencies
/// (the service hands each latency out once) and the last scrape, for rates. Thread safe; one per
/// server, and nobody else calls Service::metrics().
class MetricsCollector {
 public:
  scheduler::Metrics take(const scheduler::Service& service);

  /// The page. Rates are averages since the call before.
  std::string text(const Context& context);

 private:
  /// Upper bounds in seconds; the last bucket has none.
  static constexpr std::array kBounds = {0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5,
                                         1.0,   2.0,  5.0,  10.0, 30., 60., 120.};
  struct Histogram {
    std::array<std::uint64_t, kBounds.size() + 1> counts{};
    double sum = 0.0;
    void observe(double seconds);
  };
  struct Scrape {
    std::uint64_t prompt_tokens = 0;
    double prompt_seconds = 0.0;
    std::uint64_t predicted_tokens = 0;
    double predicted_seconds = 0.0;
  };
  friend class MetricsPage;

  std::mutex mutex_;
  Histogram first_token_;
  Histogram inter_token_;
  Scrape last_;
};

}  // namespace foretoken::api
