// What is said about the work.
#include "serve/options.h"
#include "serve/switch.h"

namespace foretoken::tools {

void add_serve_log_options(CLI::App& app, ServeLogOptions& options) {
  CLI::App* group = app.add_option_group("Log (standard error)");
  group
      ->add_option("--verbosity,--log-verbosity", options.verbosity,
                   "0 nothing, 1 errors, 2 warnings, 3 the usual, 4 and more everything (-lv)")
      ->envname("LLAMA_ARG_LOG_VERBOSITY")
      ->capture_default_str()
      ->type_name("N");
  group->add_flag("-v,--verbose,--log-verbose", options.verbose, "everything");
  group->add_option("--log-file", options.file, "to a file as well")
      ->envname("LLAMA_ARG_LOG_FILE")
      ->type_name("FILE");
  add_switch(*group, "--log-jsonl,!--no-log-jsonl", options.jsonl, "one JSON object a line",
             "LLAMA_ARG_LOG_JSONL");
  group->add_option("--log-colors", options.colors, "on, off, auto (on a terminal)")
      ->envname("LLAMA_ARG_LOG_COLORS")
      ->expected(0, 1)
      ->check(CLI::IsMember({"on", "off", "auto"}))
      ->capture_default_str()
      ->type_name("WHEN");
  add_switch(*group, "--log-prefix,!--no-log-prefix", options.prefix, "with the level in front",
             "LLAMA_ARG_LOG_PREFIX");
  add_switch(*group, "--log-timestamps,!--no-log-timestamps", options.timestamps, "with the time",
             "LLAMA_ARG_LOG_TIMESTAMPS");
  group->add_flag("--log-disable", options.disabled, "nothing");
}

}  // namespace foretoken::tools
