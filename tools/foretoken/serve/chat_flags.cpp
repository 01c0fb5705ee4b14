// Templates, thinking, grammars: what a request starts from where it says nothing.
#include "serve/options.h"
#include "serve/switch.h"

namespace foretoken::tools {
namespace {

void add_template(CLI::App& group, ServeChatOptions& options) {
  add_switch(group, "--jinja,!--no-jinja", options.jinja,
             "accepted for scripts; templates always run in full", "LLAMA_ARG_JINJA");
  group
      .add_option("--chat-template", options.chat_template,
                  "a Jinja chat template instead of the model's")
      ->envname("LLAMA_ARG_CHAT_TEMPLATE")
      ->type_name("TEXT");
  group.add_option("--chat-template-file", options.chat_template_file, "the same from a file")
      ->envname("LLAMA_ARG_CHAT_TEMPLATE_FILE")
      ->type_name("FILE");
  group
      .add_option("--chat-template-kwargs", options.template_kwargs,
                  "template variables as a JSON object, {\"enable_thinking\": false}")
      ->envname("LLAMA_ARG_CHAT_TEMPLATE_KWARGS")
      ->type_name("JSON");
  add_switch(group, "--prefill-assistant,!--no-prefill-assistant", options.prefill_assistant,
             "go on with a last message of the assistant instead of answering it",
             "LLAMA_ARG_PREFILL_ASSISTANT");
  add_switch(group, "--skip-chat-parsing,!--no-skip-chat-parsing", options.skip_chat_parsing,
             "hand the model's text over as it is: no thinking or tool calls taken out",
             "LLAMA_ARG_SKIP_CHAT_PARSING");
  group.add_flag("--special", options.special, "show control tokens in answers (-sp)");
}

void add_reasoning(CLI::App& group, ServeChatOptions& options) {
  group
      .add_option("--reasoning-format", options.reasoning_format,
                  "where thinking goes: auto and deepseek, reasoning_content; none, the content; "
                  "deepseek-legacy, both")
      ->envname("LLAMA_ARG_THINK")
      ->check(CLI::IsMember({"auto", "none", "deepseek", "deepseek-legacy"}))
      ->capture_default_str()
      ->type_name("NAME");
  group
      .add_option("--reasoning", options.reasoning,
                  "thinking: on, off, auto (as the model's template does) (-rea)")
      ->envname("LLAMA_ARG_REASONING")
      ->check(CLI::IsMember({"on", "off", "auto"}))
      ->capture_default_str()
      ->type_name("MODE");
  group.add_option("--reasoning-effort", options.reasoning_effort, "passed to the template")
      ->envname("LLAMA_ARG_REASONING_EFFORT")
      ->type_name("NAME");
  group
      .add_option("--reasoning-budget", options.reasoning_budget,
                  "most tokens of thinking; 0: none, -1: no bound")
      ->envname("LLAMA_ARG_THINK_BUDGET")
      ->capture_default_str()
      ->check(CLI::Range(-1, 1 << 30))
      ->type_name("N");
  group
      .add_option("--reasoning-budget-message", options.reasoning_budget_message,
                  "what the thinking ends with when the bound is reached")
      ->envname("LLAMA_ARG_THINK_BUDGET_MESSAGE")
      ->type_name("TEXT");
  add_switch(group, "--reasoning-preserve,!--no-reasoning-preserve", options.reasoning_preserve,
             "keep earlier thinking in the prompt, so that nothing is read twice",
             "LLAMA_ARG_REASONING_PRESERVE");
  group.add_flag("!--no-empty-think", options.empty_think,
                 "turns that had no thinking get no empty pair of tags");
}

void add_generation(CLI::App& group, ServeChatOptions& options) {
  group
      .add_option("-n,--predict,--n-predict", options.n_predict,
                  "most tokens of an answer; -1: until the model stops")
      ->envname("LLAMA_ARG_N_PREDICT")
      ->capture_default_str()
      ->type_name("N");
  group.add_flag("--ignore-eos", options.ignore_eos, "go on past the end of the answer");
  group
      .add_option("-r,--reverse-prompt", options.stop, "text that ends an answer; may be repeated")
      ->type_name("TEXT");
  group
      .add_option("--samplers,--sampling-seq,--sampler-seq", options.samplers,
                  "order of the samplers, by name with ';' or by letter")
      ->type_name("LIST");
  group.add_option("--grammar", options.grammar, "GBNF grammar that answers keep to")
      ->type_name("GBNF");
  group.add_option("--grammar-file", options.grammar_file, "the same from a file")
      ->type_name("FILE");
  group.add_option("-j,--json-schema", options.json_schema, "JSON schema that answers keep to")
      ->type_name("SCHEMA");
  group.add_option("--json-schema-file", options.json_schema_file, "the same from a file (-jf)")
      ->type_name("FILE");
}

}  // namespace

void add_serve_chat_options(CLI::App& app, ServeOptions& options) {
  CLI::App* group = app.add_option_group("Chat");
  add_template(*group, options.chat);
  add_reasoning(*group, options.chat);
  add_generation(*group, options.chat);
  group->add_flag("--spec-synth-i-know", options.synthetic_allowed,
                  "serve with simulated acceptance: every answer is wrong");
}

}  // namespace foretoken::tools
