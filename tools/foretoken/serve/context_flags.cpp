// Slots, batching and caches.
#include "serve/options.h"
#include "serve/switch.h"

namespace foretoken::tools {

void add_serve_context_options(CLI::App& app, ServeContextOptions& options) {
  CLI::App* group = app.add_option_group("Slots and caches");
  group
      ->add_option("--parallel", options.parallel,
                   "requests answered at once (-np); a number divides the context among them, "
                   "auto: 4 that share it")
      ->envname("LLAMA_ARG_N_PARALLEL")
      ->capture_default_str()
      ->type_name("N");
  add_switch(*group, "--kv-unified,!--no-kv-unified", options.kv_unified,
             "each slot may use the whole context (-kvu)", "LLAMA_ARG_KV_UNIFIED");
  group
      ->add_option("--kv-unified-per-slot", options.kv_unified_per_slot,
                   "most tokens of a slot where they share the context; 0: all")
      ->envname("LLAMA_ARG_KV_UNIFIED_PER_SLOT")
      ->type_name("N");
  add_switch(*group, "--cont-batching,!--no-cont-batching", options.cont_batching,
             "let new requests join running ones (-cb); off (-nocb): one after the other",
             "LLAMA_ARG_CONT_BATCHING");
  add_switch(*group, "--cache-prompt,!--no-cache-prompt", options.cache_prompt,
             "reuse what earlier prompts have in common", "LLAMA_ARG_CACHE_PROMPT");
  group
      ->add_option("--cache-ram", options.cache_ram_mib,
                   "most MiB of states kept for reuse (-cram); -1: no bound, 0: hardly any")
      ->envname("LLAMA_ARG_CACHE_RAM")
      ->capture_default_str()
      ->type_name("MIB");
  group
      ->add_option("--ctx-checkpoints,--swa-checkpoints", options.checkpoints,
                   "states per slot (-ctxcp): a further bound, in states, on what is kept; -1: "
                   "only --cache-ram counts")
      ->envname("LLAMA_ARG_CTX_CHECKPOINTS")
      ->capture_default_str()
      ->type_name("N");
  group
      ->add_option("--checkpoint-min-step", options.checkpoint_min_step,
                   "tokens between states inside a long message (-cms); 0: 1024, doubling "
                   "away from its end")
      ->envname("LLAMA_ARG_CHECKPOINT_MIN_SPACING_NT")
      ->type_name("N");
  group
      ->add_option("--slot-save-path", options.slot_save_path,
                   "folder for POST /slots/ID?action=save and restore; off without it")
      ->type_name("DIR");
  group
      ->add_option("--cache-dir", options.cache_dir,
                   "folder that keeps the most useful states over a restart")
      ->envname("FORETOKEN_CACHE_DIR")
      ->type_name("DIR");
  group
      ->add_option("--queue", options.queue_bound,
                   "most requests that wait for a slot; more are answered with 503")
      ->envname("FORETOKEN_QUEUE")
      ->capture_default_str()
      ->check(CLI::Range(0, 1 << 20))
      ->type_name("N");
  group
      ->add_option("--sleep-idle-seconds", options.sleep_idle_seconds,
                   "give the model's memory back after that many idle seconds; the next request "
                   "loads it again; -1: never")
      ->capture_default_str()
      ->type_name("S");
  add_switch(*group, "--warmup,!--no-warmup", options.warmup,
             "accepted for scripts; packing the weights touches all of them");
}

}  // namespace foretoken::tools
