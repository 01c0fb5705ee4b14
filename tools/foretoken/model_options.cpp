#include "model_options.h"

#include <fmt/format.h>
#include <unistd.h>

#include <utility>

#include "base/error.h"
#include "progress_bar.h"

namespace foretoken::tools {
namespace {

engine::BackendChoice parse_backend(const std::string& name) {
  engine::BackendChoice choice;
  if (name == "auto") return choice;
  if (name == "reference") {
    choice.reference = true;
    return choice;
  }
  std::string known = "auto, reference";
  for (const kernels::CpuLevel level : kernels::available_cpu_levels()) {
    if (kernels::cpu_level_name(level) == name) {
      choice.level = level;
      return choice;
    }
    known += fmt::format(", {}", kernels::cpu_level_name(level));
  }
  throw RequestError(
      fmt::format("--backend '{}' is not available; this machine has: {}", name, known));
}

}  // namespace

void add_model_options(CLI::App& app, ModelOptions& options) {
  app.add_option("-m,--model", options.model, "GGUF model file (the first one of a split model)")
      ->required()
      ->envname("LLAMA_ARG_MODEL")
      ->type_name("FILE");
  app.add_option("-t,--threads", options.threads, "threads to compute with; 0: all cores")
      ->envname("LLAMA_ARG_THREADS")
      ->type_name("N");
  app.add_option("-c,--ctx-size", options.context,
                 "tokens the context holds; 0: as trained (memory is only taken as it fills)")
      ->envname("LLAMA_ARG_CTX_SIZE")
      ->type_name("N");
  app.add_option("-b,--batch-size,--ubatch-size", options.batch,
                 "prompt tokens per pass (-b and -ub are one here; the last one counts); changes "
                 "speed and memory, never results")
      ->capture_default_str()
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast)
      ->type_name("N");
  app.add_option("--cache-type-k", options.key_type,
                 "type of cached keys (-ctk): f32 f16 bf16 q8_0 q4_0")
      ->capture_default_str()
      ->envname("LLAMA_ARG_CACHE_TYPE_K")
      ->type_name("TYPE");
  app.add_option("--cache-type-v", options.value_type, "type of cached values (-ctv)")
      ->capture_default_str()
      ->envname("LLAMA_ARG_CACHE_TYPE_V")
      ->type_name("TYPE");
  app.add_option("--backend", options.backend,
                 "kernels: auto, reference (slow, for checking) or one instruction set by name")
      ->capture_default_str()
      ->type_name("NAME");
  app.add_option(
         "--n-gpu-layers,--gpu-layers", options.gpu_layers,
         "accepted for scripts (-ngl): a number, auto or all; this build computes on the CPU")
      ->envname("LLAMA_ARG_N_GPU_LAYERS")
      ->type_name("N");
  app.add_option("--flash-attn", options.flash_attention,
                 "accepted for scripts (-fa); attention here never stores the score matrix")
      ->expected(0, 1)
      ->envname("LLAMA_ARG_FLASH_ATTN")
      ->type_name("on|off|auto");
}

quant::Type parse_kv_type(const std::string& name) {
  const auto type = quant::find_type_by_name(name);
  if (!type || !kernels::is_kv_type(*type)) {
    throw RequestError(
        fmt::format("KV cache type '{}' is unknown; use f32, f16, bf16, q8_0 or q4_0", name));
  }
  return *type;
}

engine::EngineOptions make_engine_options(const ModelOptions& options) {
  engine::EngineOptions out;
  out.model_path = options.model;
  out.n_threads = options.threads;
  out.backend = parse_backend(options.backend);
  return out;
}

std::unique_ptr<engine::Engine> load_engine(const ModelOptions& options, engine::WrapOps wrap_ops) {
  engine::EngineOptions engine_options = make_engine_options(options);
  engine_options.wrap_ops = std::move(wrap_ops);
  ProgressBar bar("loading");
  engine_options.progress = [&](std::size_t done, std::size_t total) {
    bar.update_bytes(done, total);
  };
  return std::make_unique<engine::Engine>(engine_options);
}

engine::SessionOptions session_options(const ModelOptions& options, const engine::Engine& engine) {
  engine::SessionOptions out;
  if (options.context < 0) {
    throw RequestError(
        fmt::format("-c {} is negative; give the number of tokens, or 0", options.context));
  }
  out.n_context = options.context == 0 ? engine.config().n_context_train : options.context;
  out.n_batch = options.batch;
  out.kv_types = {parse_kv_type(options.key_type), parse_kv_type(options.value_type)};
  return out;
}

}  // namespace foretoken::tools
