// From the command line's words to what the parts of the server are given.
#pragma once

#include "api/context.h"
#include "gguf/file.h"
#include "http/server.h"
#include "serve/options.h"

namespace foretoken::tools {

/// Parts of a list, without empty ones.
std::vector<std::string> split_list(std::string_view text, char separator);

/// Which drafters, from every --spec-type given: "draft-mtp", "ngram-mod,draft-mtp", ik_llama.cpp's
/// "mtp:n_max=3,p_min=0.5". Writes what it finds into `flags`. Throws RequestError with the list of
/// kinds for one that is unknown or unsupported.
void read_spec_types(SpeculationFlags& flags, std::vector<std::string>& notices);

/// Throws RequestError for contradictory or malformed options, IoError for files of keys.
http::ServerOptions http_options(const ServeOptions& options);

/// What requests start from: command line before the file's own sampling values
/// (general.sampling.*) before llama-server's defaults.
api::Defaults api_defaults(const ServeOptions& options, const CLI::App& app, const gguf::File& file,
                           const tokenizer::Tokenizer& tokenizer);

api::Settings api_settings(const ServeOptions& options);

api::ModelFacts model_facts(const ServeOptions& options, const gguf::File& file,
                            const tokenizer::Tokenizer& tokenizer);

/// Slots and tokens for each, from --parallel, -c and --kv-unified.
struct SlotPlan {
  int n_slots = 4;
  int n_context = 0;  ///< per slot
};
SlotPlan plan_slots(const ServeContextOptions& options, int context, int n_context_train);

/// Bytes of states that may be kept, from --cache-ram and, as a further bound, --ctx-checkpoints
/// states for each slot.
std::size_t cache_bytes(const ServeContextOptions& options, int n_slots, std::size_t state_bytes);

/// Cache types that this engine lacks become the next larger one, with a notice.
void settle_cache_types(ModelOptions& model, std::vector<std::string>& notices);

}  // namespace foretoken::tools
