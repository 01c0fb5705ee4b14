// Which model, and under what name.
#include "serve/options.h"
#include "serve/switch.h"

namespace foretoken::tools {

void add_serve_model_options(CLI::App& app, ServeOptions& options) {
  CLI::App* group = app.add_option_group("Model");
  add_model_options(*group, options.model);
  group->get_option("--model")->required(false);
  ServeModelOptions& source = options.source;
  group
      ->add_option("--hf-repo", source.hub_repository,
                   "model of the Hugging Face hub, USER/MODEL[:QUANT] (-hf); downloaded once and "
                   "kept; QUANT: Q4_K_M")
      ->envname("LLAMA_ARG_HF_REPO")
      ->type_name("REPO");
  group->add_option("--hf-file", source.hub_file, "that file of the repository (-hff)")
      ->envname("LLAMA_ARG_HF_FILE")
      ->type_name("NAME");
  group->add_option("--hf-token", source.hub_token, "access token for private repositories (-hft)")
      ->envname("HF_TOKEN")
      ->type_name("TOKEN");
  add_switch(*group, "--offline", source.offline, "use what was downloaded before; ask no network",
             "LLAMA_ARG_OFFLINE");
  group
      ->add_option("-a,--alias", source.alias,
                   "names of the model in the API, separated by commas; default: the file's name")
      ->envname("LLAMA_ARG_ALIAS")
      ->type_name("NAMES");
  group->add_option("--tags", source.tags, "tags in the list of models, separated by commas")
      ->envname("LLAMA_ARG_TAGS")
      ->type_name("TAGS");
  group
      ->add_option("--mmproj", source.projector,
                   "vision projector (-mm); checked, but this build does not see images yet")
      ->envname("LLAMA_ARG_MMPROJ")
      ->type_name("FILE");
  add_switch(*group, "--mmproj-auto,!--no-mmproj,!--no-mmproj-auto", source.projector_auto,
             "use a projector that comes with -hf", "LLAMA_ARG_MMPROJ_AUTO");
  group->add_option("--image-min-tokens", source.image_min_tokens, "fewest tokens of an image")
      ->envname("LLAMA_ARG_IMAGE_MIN_TOKENS")
      ->type_name("N");
  group->add_option("--image-max-tokens", source.image_max_tokens, "most tokens of an image")
      ->envname("LLAMA_ARG_IMAGE_MAX_TOKENS")
      ->type_name("N");
  group
      ->add_option("--spec-draft-model,--model-draft", source.draft_model,
                   "a separate file with the MTP head (-md)")
      ->envname("LLAMA_ARG_SPEC_DRAFT_MODEL")
      ->type_name("FILE");
  group->add_flag("--list-devices", source.list_devices, "say what this build computes on and end");
}

}  // namespace foretoken::tools
