// `foretoken serve`: an HTTP server with llama-server's flags and endpoints.
//
// The order of a start is what supervisors rely on: the address is bound first, then the model is
// loaded while everything answers 503, then it is ready. SIGTERM drains. See docs/serve.md.
#include <fmt/format.h>

#include <atomic>
#include <cstdio>
#include <memory>
#include <thread>

#include "api/page.h"
#include "api/routes.h"
#include "api/sampler_names.h"
#include "base/error.h"
#include "base/text.h"
#include "command.h"
#include "http/server.h"
#include "model/file_summary.h"
#include "model/qwen35/config.h"
#include "model_options.h"
#include "scheduler/scheduler.h"
#include "serve/hub_model.h"
#include "serve/log.h"
#include "serve/options.h"
#include "serve/settings.h"
#include "serve/show_settings.h"
#include "serve/stop_signal.h"
#include "token_list.h"

namespace foretoken::tools {
namespace {

constexpr const char* kNotes =
    "Serves llama-server's API, OpenAI's (chat completions, completions, Responses), Anthropic's\n"
    "messages, and a chat page at /. Every flag of llama-server is accepted or refused in words;\n"
    "see docs/serve.md. A value may also come from the environment, as LLAMA_ARG_...\n"
    "\n"
    "Exit status: 0 stopped in order, 1 something is wrong (one sentence says what).";

/// Open files beside connections: the model, the log, state files, listeners.
constexpr int kOtherDescriptors = 256;

/// Everything that belongs to a loaded model.
struct LoadedModel {
  std::shared_ptr<scheduler::Scheduler> scheduler;
  api::ContextPtr context;
};

chat::ChatTemplate load_template(const ServeOptions& options,
                                 const tokenizer::Tokenizer& tokenizer) {
  const ServeChatOptions& chat = options.chat;
  if (!chat.chat_template.empty() && chat.chat_template != "chatml") {
    return chat::ChatTemplate(chat.chat_template);
  }
  if (!chat.chat_template_file.empty()) {
    return chat::ChatTemplate(read_text_file(chat.chat_template_file));
  }
  return chat::ChatTemplate(
      tokenizer.chat_template().value_or(chat::ChatTemplate::builtin_source()));
}

engine::EngineOptions engine_options(const ServeOptions& options) {
  engine::EngineOptions out = make_engine_options(options.model);
  out.head_path = options.source.draft_model;
  return out;
}

// Bytes of one recurrent state: what a checkpoint costs beside its keys and values.
std::size_t state_bytes(const model::qwen35::Config& config) {
  return static_cast<std::size_t>(config.n_recurrent_layers()) * config.delta.state_size() *
         sizeof(float);
}

scheduler::SchedulerOptions scheduler_options(const ServeOptions& options,
                                              const model::qwen35::Config& config,
                                              const api::Context& context, const LogSink& log) {
  const SlotPlan plan = plan_slots(options.context, options.model.context, config.n_context_train);
  scheduler::SchedulerOptions out;
  out.n_slots = plan.n_slots;
  out.n_context = plan.n_context;
  out.n_batch = options.model.batch;
  out.kv_types = {parse_kv_type(options.model.key_type), parse_kv_type(options.model.value_type)};
  out.cache_bytes = cache_bytes(options.context, plan.n_slots, state_bytes(config));
  if (options.context.checkpoint_min_step > 0) {
    out.checkpoint_step = options.context.checkpoint_min_step;
  }
  out.speculation = context.defaults.speculation;
  out.max_queue = options.context.queue_bound;
  out.state_directory = options.context.cache_dir;
  out.sleep_idle_seconds = options.context.sleep_idle_seconds;
  out.slots_debug = context.settings.slots_debug;
  out.log = log;
  return out;
}

// The engine has no vision tower: better said at the start than at the first image.
void check_projector(const ServeOptions& options, const LogSink& log) {
  if (options.source.projector.empty()) return;
  const gguf::File file = gguf::File::open(options.source.projector);
  if (model::summarize(file).kind != model::FileKind::VisionProjector) {
    throw RequestError(
        fmt::format("--mmproj {}: not a vision projector", options.source.projector));
  }
  log(LogLevel::Warning, fmt::format("{}: images are not read by this build; requests that hold "
                                     "one are refused",
                                     options.source.projector));
}

// "top_k;temperature" or "kt".
void apply_samplers(const std::string& samplers, api::Context& context) {
  if (samplers.empty()) return;
  api::Json value = samplers;
  if (samplers.find(';') != std::string::npos) value = split_list(samplers, ';');
  context.defaults.samplers = api::read_samplers(context, value);
}

LoadedModel load_model(ServeOptions& options, const CLI::App& app, const LogSink& log) {
  fetch_hub_model(options, log);
  check_projector(options, log);
  const gguf::File file = gguf::File::open(options.model.model);
  auto context = std::make_shared<api::Context>();
  context->tokenizer =
      std::make_shared<const tokenizer::Tokenizer>(tokenizer::Tokenizer::from_gguf(file));
  context->chat_template =
      std::make_shared<const chat::ChatTemplate>(load_template(options, *context->tokenizer));
  context->prompts = std::make_shared<const chat::PromptRenderer>(context->chat_template);
  context->log = log;
  context->token_trie = grammar::make_token_trie(*context->tokenizer);
  context->defaults = api_defaults(options, app, file, *context->tokenizer);
  apply_samplers(options.chat.samplers, *context);
  context->model = model_facts(options, file, *context->tokenizer);
  context->settings = api_settings(options);
  context->started_unix = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());

  LoadedModel out;
  out.scheduler = std::make_shared<scheduler::Scheduler>(
      [engine = engine_options(options)] { return std::make_unique<engine::Engine>(engine); },
      scheduler_options(options, model::qwen35::read_config(file), *context, log));
  context->service = out.scheduler;
  out.context = std::move(context);
  return out;
}

/// Loads on a thread of its own, so that a signal can end the program meanwhile.
class Loading {
 public:
  Loading(ServeOptions& options, const CLI::App& app, const LogSink& log)
      : thread_([&options, &app, &log, this] {
          try {
            model_ = load_model(options, app, log);
          } catch (...) {
            error_ = std::current_exception();
          }
          done_.store(true, std::memory_order_release);
        }) {}

  bool done() const { return done_.load(std::memory_order_acquire); }
  /// The model, or what went wrong as an exception.
  LoadedModel take() {
    thread_.join();
    if (error_) std::rethrow_exception(error_);
    return std::move(model_);
  }

 private:
  LoadedModel model_;
  std::exception_ptr error_;
  std::atomic<bool> done_{false};
  std::jthread thread_;
};

void announce(const http::Server& server, const LoadedModel& model, const LogSink& log) {
  log(LogLevel::Info, "model loaded");
  for (const std::string& url : server.urls()) {
    log(LogLevel::Info, fmt::format("server is listening on {}", url));
  }
  log(LogLevel::Info, fmt::format("{} slots of {} tokens; MTP head: {}", model.scheduler->n_slots(),
                                  model.scheduler->slot_context(),
                                  model.context->model.n_mtp_layers > 0 ? "yes" : "none"));
}

void check(const ServeOptions& options) {
  if (!options.refused.empty()) throw RequestError(options.refused);
  if (options.model.model.empty() && options.source.hub_repository.empty()) {
    throw RequestError("no model: give a GGUF file with -m, or a repository with -hf");
  }
  if (finish_speculation(options.speculation, false).synthetic && !options.synthetic_allowed) {
    throw RequestError(
        "simulated acceptance makes every answer wrong; to serve that all the same, add "
        "--spec-synth-i-know");
  }
}

void settle(ServeOptions& options) {
  read_spec_types(options.speculation, options.notices);
  settle_cache_types(options.model, options.notices);
}

int serve(ServeOptions& options, const CLI::App& app) {
  if (options.source.list_devices) {
    fmt::print("Available devices:\n  CPU: {} threads\n", engine::available_cores());
    return 0;
  }
  settle(options);
  check(options);
  StopSignal stop;
  const LogSink log = make_log(options.log);
  for (const std::string& text : repeated_options(app)) log(LogLevel::Warning, text);
  for (const std::string& text : options.notices) log(LogLevel::Warning, text);

  std::atomic<std::shared_ptr<const api::Context>> context;
  http::Router router;
  api::add_routes(router, [&context] { return context.load(); });
  // Known before the model is: a page, another folder's, or none holds from the first request on.
  api::add_page_routes(router,
                       {.enabled = options.http.page, .static_path = options.http.static_path});
  const http::ServerOptions server_options = http_options(options);
  http::raise_descriptor_limit(server_options.max_connections + kOtherDescriptors);
  http::Server server(server_options, std::move(router));
  server.start();

  LoadedModel model;
  {
    Loading loading(options, app, log);
    while (!loading.done()) {
      // Loading cannot be cut short; nothing is half done when the process ends in the middle.
      if (stop.wait(std::chrono::milliseconds(50))) std::_Exit(0);
    }
    model = loading.take();
  }
  context.store(model.context);
  announce(server, model, log);

  while (!stop.wait(std::chrono::hours(1))) {
  }
  log(LogLevel::Info, "stopping: answers in progress may finish");
  const std::chrono::seconds grace(options.http.drain_s);
  server.drain(grace);
  model.scheduler->drain(std::chrono::steady_clock::now());
  context.store(nullptr);
  log(LogLevel::Info, "stopped");
  return 0;
}

}  // namespace

Run add_serve(CLI::App& app) {
  auto options = std::make_shared<ServeOptions>();
  auto show = std::make_shared<bool>(false);
  add_serve_options(app, *options);
  app.add_flag("--show-settings", *show, "print as JSON what all flags come to, and end");
  app.set_version_flag("--version", "version: 1 (ft" FORETOKEN_VERSION ")");  // llama-server's form
  app.footer(kNotes);
  return [options, show, &app] {
    if (!*show) return serve(*options, app);
    settle(*options);
    if (!options->refused.empty()) throw RequestError(options->refused);
    fmt::print("{}\n", show_settings(*options));
    return 0;
  };
}

}  // namespace foretoken::tools
