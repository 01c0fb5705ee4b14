// See metrics.h.
#include "api/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <limits>
#include <map>
#include <sstream>
#include <utility>

namespace foretoken::api {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

namespace {

double number(std::uint64_t value) { return static_cast<double>(value); }

double rate(double amount, double seconds) { return seconds > 0.0 ? amount / seconds : 0.0; }

}  // namespace

/// Collects families; one function per group of names.
class MetricsPage {
 public:
  void counter(const char* name, const char* help, double value) {
    add(name, help, MetricType::Counter).metric.push_back(counted(value));
  }
  void gauge(const char* name, const char* help, double value) {
    ClientMetric metric;
    metric.gauge.value = value;
    add(name, help, MetricType::Gauge).metric.push_back(metric);
  }

  void add_reference_counters(const scheduler::Metrics& m);
  void add_reference_gauges(const scheduler::Metrics& m, double prompt_rate, double predicted_rate);
  void add_positions(const scheduler::Metrics& m);
  void add_speculation(const scheduler::Metrics& m);
  void add_cache(const scheduler::Metrics& m);
  void add_reasons(const char* name, const char* help,
                   const std::map<std::string, std::uint64_t>& by_reason);
  void add_latency(const char* name, const char* help,
                   const MetricsCollector::Histogram& histogram);

  std::string text() const {
    std::ostringstream out;
    prometheus::TextSerializer().Serialize(out, families_);
    return out.str();
  }

 private:
  static ClientMetric counted(double value) {
    ClientMetric metric;
    metric.counter.value = value;
    return metric;
  }
  MetricFamily& add(const char* name, const char* help, MetricType type) {
    families_.push_back({name, help, type, {}});
    return families_.back();
  }

  std::vector<MetricFamily> families_;
};

void MetricsPage::add_reference_counters(const scheduler::Metrics& m) {
  counter("llamacpp:prompt_tokens_total", "Prompt tokens processed, without those from a cache",
          number(m.prompt_tokens));
  counter("llamacpp:prompt_tokens_cached_total", "Prompt tokens taken from a cache",
          number(m.prompt_tokens_cached));
  counter("llamacpp:prompt_seconds_total", "Time spent on prompts", m.prompt_seconds);
  counter("llamacpp:tokens_predicted_total", "Tokens generated", number(m.predicted_tokens));
  counter("llamacpp:tokens_predicted_seconds_total", "Time spent on generating tokens",
          m.predicted_seconds);
  counter("llamacpp:n_decode_total", "Passes of the target model that generated tokens",
          number(m.decode_calls));
  counter("llamacpp:n_tokens_max", "Longest sequence seen, prompt and reply",
          number(m.n_tokens_max));
  counter("llamacpp:spec_decode_num_draft_tokens_total", "Draft tokens proposed",
          number(m.draft_tokens));
  counter("llamacpp:spec_decode_num_accepted_tokens_total", "Draft tokens accepted",
          number(m.draft_accepted));
  counter("llamacpp:spec_decode_num_drafts_total", "Rounds in which drafts were verified",
          number(m.draft_rounds));
}

void MetricsPage::add_reference_gauges(const scheduler::Metrics& m, double prompt_rate,
                                       double predicted_rate) {
  gauge("llamacpp:prompt_tokens_seconds", "Prompt tokens per second since the last scrape",
        prompt_rate);
  gauge("llamacpp:predicted_tokens_seconds", "Generated tokens per second since the last scrape",
        predicted_rate);
  gauge("llamacpp:requests_processing", "Requests in a slot", m.requests_processing);
  gauge("llamacpp:requests_deferred", "Requests that wait for a slot", m.requests_deferred);
  gauge("llamacpp:n_busy_slots_per_decode", "Slots taking part in a pass, on average",
        number(m.busy_slots_total) / std::max(number(m.decode_calls), 1.0));
}

void MetricsPage::add_positions(const scheduler::Metrics& m) {
  if (m.draft_rounds == 0) return;
  MetricFamily& accepted =
      add("llamacpp:spec_decode_num_accepted_tokens_per_pos_total",
          "Draft tokens accepted, by position in the draft", MetricType::Counter);
  for (std::size_t i = 0; i < m.accepted_at.size() && m.drafted_at[i] > 0; ++i) {
    ClientMetric metric = counted(number(m.accepted_at[i]));
    metric.label = {{"position", std::to_string(i)}};
    accepted.metric.push_back(metric);
  }
  MetricFamily& ratio = add("foretoken:spec_accept_ratio",
                            "Share of drafts that were accepted, by position", MetricType::Gauge);
  for (std::size_t i = 0; i < m.accepted_at.size() && m.drafted_at[i] > 0; ++i) {
    ClientMetric metric;
    metric.label = {{"position", std::to_string(i)}};
    metric.gauge.value = number(m.accepted_at[i]) / number(m.drafted_at[i]);
    ratio.metric.push_back(metric);
  }
}

void MetricsPage::add_speculation(const scheduler::Metrics& m) {
  ClientMetric depth;
  for (std::size_t drafts = 0; drafts < m.depth_rounds.size(); ++drafts) {
    depth.histogram.sample_count += m.depth_rounds[drafts];
    depth.histogram.sample_sum += number(m.depth_rounds[drafts]) * static_cast<double>(drafts);
    depth.histogram.bucket.push_back({depth.histogram.sample_count, static_cast<double>(drafts)});
  }
  depth.histogram.bucket.push_back(
      {depth.histogram.sample_count, std::numeric_limits<double>::infinity()});
  add("foretoken:spec_depth", "Drafts made per round", MetricType::Histogram)
      .metric.push_back(depth);
  gauge("foretoken:spec_parked", "1 while drafting pauses because it does not pay",
        m.draft_parked ? 1.0 : 0.0);
  counter("foretoken:draft_seconds_total", "Time spent on drafting", m.draft_seconds);
  counter("foretoken:verify_seconds_total", "Time spent on verifying drafts", m.verify_seconds);
}

void MetricsPage::add_cache(const scheduler::Metrics& m) {
  gauge("foretoken:checkpoint_bytes", "Memory held by checkpoints",
        static_cast<double>(m.checkpoint_bytes));
  gauge("foretoken:checkpoints", "Checkpoints held", m.n_checkpoints);
  counter("foretoken:prefix_cache_hits_total", "Prompts that found a prefix in the cache",
          number(m.prefix_hits));
  add_reasons("foretoken:prefix_cache_miss_total", "Prompts that found none, by reason",
              m.prefix_misses);
  add_reasons("foretoken:full_reprocess_total", "Prompts processed from the start, by reason",
              m.full_reprocess);
}

void MetricsPage::add_reasons(const char* name, const char* help,
                              const std::map<std::string, std::uint64_t>& by_reason) {
  if (by_reason.empty()) return;
  MetricFamily& family = add(name, help, MetricType::Counter);
  for (const auto& [reason, count] : by_reason) {
    ClientMetric metric = counted(number(count));
    metric.label = {{"reason", reason}};
    family.metric.push_back(metric);
  }
}

void MetricsPage::add_latency(const char* name, const char* help,
                              const MetricsCollector::Histogram& histogram) {
  ClientMetric metric;
  for (std::size_t i = 0; i < histogram.counts.size(); ++i) {
    metric.histogram.sample_count += histogram.counts[i];
    const double bound = i < MetricsCollector::kBounds.size()
                             ? MetricsCollector::kBounds[i]
                             : std::numeric_limits<double>::infinity();
    metric.histogram.bucket.push_back({metric.histogram.sample_count, bound});
  }
  metric.histogram.sample_sum = histogram.sum;
  add(name, help, MetricType::Histogram).metric.push_back(metric);
}

void MetricsCollector::Histogram::observe(double seconds) {
  const auto bound = std::ranges::lower_bound(kBounds, seconds);
  ++counts[static_cast<std::size_t>(bound - kBounds.begin())];
  sum += seconds;
}

scheduler::Metrics MetricsCollector::take(const scheduler::Service& service) {
  const std::scoped_lock lock(mutex_);
  scheduler::Metrics metrics = service.metrics();
  for (const double seconds : metrics.recent_ttft_seconds) first_token_.observe(seconds);
  for (const double seconds : metrics.recent_inter_token_seconds) inter_token_.observe(seconds);
  return metrics;
}

std::string MetricsCollector::text(const Context& context) {
  const scheduler::Metrics m = take(*context.service);
  const std::scoped_lock lock(mutex_);
  const Scrape now{m.prompt_tokens, m.prompt_seconds, m.predicted_tokens, m.predicted_seconds};
  const Scrape before = std::exchange(last_, now);
  MetricsPage page;
  page.add_reference_counters(m);
  page.add_reference_gauges(m,
                            rate(number(now.prompt_tokens - before.prompt_tokens),
                                 now.prompt_seconds - before.prompt_seconds),
                            rate(number(now.predicted_tokens - before.predicted_tokens),
                                 now.predicted_seconds - before.predicted_seconds));
  page.add_positions(m);
  page.add_speculation(m);
  page.add_latency("foretoken:time_to_first_token_seconds",
                   "From a request's arrival to its first token", first_token_);
  page.add_latency("foretoken:inter_token_seconds", "From one token to the next", inter_token_);
  page.add_cache(m);
  page.counter("foretoken:tool_parse_soft_fail_total", "Tool calls that broke off and became text",
               number(context.counters.tool_parse_soft_fails.load()));
  page.counter("foretoken:loop_stop_total", "Replies ended because they repeated themselves",
               number(context.counters.loop_stops.load()));
  return page.text();
}

}  // namespace foretoken::api
