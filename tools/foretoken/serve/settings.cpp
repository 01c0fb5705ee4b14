#include "serve/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <random>

#include "base/error.h"
#include "base/text.h"
#include "model/file_summary.h"
#include "token_list.h"

namespace foretoken::tools {
namespace {

constexpr int kAutoSlots = 4;

// One key a line; blank lines are nothing.
std::vector<std::string> read_keys(const std::string& path) {
  std::string text = read_text_file(path);
  std::erase(text, '\r');
  std::vector<std::string> keys = split_list(text, '\n');
  if (keys.empty()) {
    throw RequestError(fmt::format("--api-key-file {}: holds no key; write one a line", path));
  }
  return keys;
}

api::Json parse_object(const std::string& text, const char* flag) {
  api::Json out = api::Json::parse(text, nullptr, false);
  if (!out.is_object()) {
    throw RequestError(fmt::format("{} {}: not a JSON object", flag, quoted(text)));
  }
  return out;
}

bool given(const CLI::App& app, const std::string& name) {
  for (const CLI::App* group : app.get_subcommands(nullptr)) {
    if (const CLI::Option* option = group->get_option_no_throw(name)) {
      if (option->count() > 0) return true;
    }
    if (given(*group, name)) return true;
  }
  return false;
}

// What the maker of the file recommends counts where the user said nothing.
void apply_file_sampling(sampling::SamplingParams& params, const CLI::App& app,
                         const gguf::Metadata& metadata) {
  const auto take_float = [&](const char* key, const char* flag, float& value) {
    const std::optional<float> stored = metadata.find_f32(key);
    if (stored && !given(app, flag)) value = *stored;
  };
  const auto take_int = [&](const char* key, const char* flag, int& value) {
    const std::optional<std::int32_t> stored = metadata.find_i32(key);
    if (stored && !given(app, flag)) value = *stored;
  };
  take_float("general.sampling.temp", "--temp", params.temperature);
  take_float("general.sampling.top_p", "--top-p", params.top_p);
  take_float("general.sampling.min_p", "--min-p", params.min_p);
  take_float("general.sampling.penalty_repeat", "--repeat-penalty", params.repeat_penalty);
  take_int("general.sampling.top_k", "--top-k", params.top_k);
  take_int("general.sampling.penalty_last_n", "--repeat-last-n", params.repeat_last_n);
}

// Unforgeable by prompts, so new at each start.
std::string random_marker() {
  if (const char* pinned = std::getenv("LLAMA_MEDIA_MARKER")) return pinned;
  std::random_device device;
  std::string out = "<__media_";
  for (int i = 0; i < 4; ++i) out += fmt::format("{:08x}", device());
  return out + "__>";
}

std::string token_text(const gguf::File& file, const tokenizer::Tokenizer& tokenizer,
                       const char* key) {
  const std::optional<std::uint32_t> id = file.metadata().find_u32(key);
  if (!id || *id >= static_cast<std::uint32_t>(tokenizer.n_vocab())) return {};
  return std::string(tokenizer.piece(static_cast<TokenId>(*id)));
}

// "mtp:n_max=3,p_min=0.5"
void read_ik_values(std::string_view values, const std::string& whole, SpeculationFlags& flags) {
  for (const std::string& pair : split_list(values, ',')) {
    const std::size_t equals = pair.find('=');
    const std::string name = pair.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : pair.substr(equals + 1);
    char* end = nullptr;
    const double number = std::strtod(value.c_str(), &end);
    const bool is_number = !value.empty() && *end == '\0';
    const bool is_count = is_number && number >= 0.0 && number <= 1e6;
    if (is_count && name == "n_max") {
      flags.n_max = static_cast<int>(number);
      flags.n_max_given = true;
    } else if (is_count && name == "n_min") {
      flags.n_min = static_cast<int>(number);
    } else if (is_number && name == "p_min") {
      flags.p_min = static_cast<float>(number);
    } else {
      throw RequestError(fmt::format(
          "--spec-type {}: {} is not understood; known are n_max, n_min and p_min with a number",
          quoted(whole), quoted(pair)));
    }
  }
}

}  // namespace

std::vector<std::string> split_list(std::string_view text, char separator) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    if (end > 0) out.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(text.size(), end + 1));
  }
  return out;
}

void read_spec_types(SpeculationFlags& flags, std::vector<std::string>& notices) {
  const std::string given = flags.type;
  const std::size_t colon = given.find(':');
  std::string kinds = given.substr(0, colon);
  if (colon != std::string::npos) {
    read_ik_values(std::string_view(given).substr(colon + 1), given, flags);
  }
  std::string chosen;
  for (const std::string& kind : split_list(kinds, ',')) {
    if (kind == "auto" || kind == "none" || kind == "draft-mtp" || kind == "mtp") {
      chosen = kind == "mtp" ? "draft-mtp" : kind;
    } else if (kind.starts_with("ngram")) {
      notices.push_back(fmt::format(
          "--spec-type {}: drafts from repeated text are not made; the MTP head drafts", kind));
      if (chosen.empty()) chosen = "auto";
    } else {
      throw RequestError(fmt::format(
          "--spec-type {}: unknown or unsupported; use auto, draft-mtp or none", quoted(kind)));
    }
  }
  flags.type = chosen.empty() ? "auto" : chosen;
}

http::ServerOptions http_options(const ServeOptions& options) {
  const ServeHttpOptions& in = options.http;
  http::ServerOptions out;
  out.hosts = split_list(in.host, ',');
  if (out.hosts.empty()) throw RequestError("--host is empty; give an address such as 127.0.0.1");
  out.port = in.port;
  out.reuse_port = in.reuse_port;
  out.prefix = in.prefix;
  out.api_keys = split_list(in.api_keys, ',');
  if (!in.api_key_file.empty()) {
    for (std::string& key : read_keys(in.api_key_file)) out.api_keys.push_back(std::move(key));
  }
  out.cors = {in.cors_origins, in.cors_methods, in.cors_headers, in.cors_credentials};
  out.tls_key_file = in.tls_key_file;
  out.tls_certificate_file = in.tls_certificate_file;
  if (in.tls_key_file.empty() != in.tls_certificate_file.empty()) {
    throw RequestError("--ssl-key-file and --ssl-cert-file go together; give both");
  }
  out.timeout = std::chrono::seconds(in.timeout_s);
  out.header_timeout = std::min(out.header_timeout, out.timeout);
  return out;
}

api::Defaults api_defaults(const ServeOptions& options, const CLI::App& app, const gguf::File& file,
                           const tokenizer::Tokenizer& tokenizer) {
  const ServeChatOptions& chat = options.chat;
  api::Defaults out;
  out.sampling = finish_sampling(options.sampling, tokenizer);
  apply_file_sampling(out.sampling, app, file.metadata());
  out.dry_breakers = options.sampling.dry_breakers;
  out.speculation = finish_speculation(options.speculation, false);
  out.n_predict = chat.n_predict;
  out.ignore_eos = chat.ignore_eos;
  out.grammar = chat.grammar_file.empty() ? chat.grammar : read_text_file(chat.grammar_file);
  const std::string schema =
      chat.json_schema_file.empty() ? chat.json_schema : read_text_file(chat.json_schema_file);
  if (!schema.empty()) out.json_schema = parse_object(schema, "--json-schema");
  out.stop = chat.stop;
  out.cache_prompt = options.context.cache_prompt;
  out.sse_ping_seconds = options.http.sse_ping_s;
  out.reasoning_format = chat.reasoning_format;
  out.reasoning = chat.reasoning_budget == 0 ? "off" : chat.reasoning;
  out.reasoning_effort = chat.reasoning_effort;
  out.reasoning_budget = chat.reasoning_budget;
  out.reasoning_budget_message = chat.reasoning_budget_message;
  out.reasoning_preserve = chat.reasoning_preserve;
  out.empty_think = chat.empty_think;
  out.prefill_assistant = chat.prefill_assistant;
  out.skip_chat_parsing = chat.skip_chat_parsing;
  if (!chat.template_kwargs.empty()) {
    out.template_kwargs = parse_object(chat.template_kwargs, "--chat-template-kwargs");
  }
  out.special = chat.special;
  return out;
}

api::Settings api_settings(const ServeOptions& options) {
  api::Settings out;
  out.endpoint_slots = options.http.slots;
  out.endpoint_props = options.http.props;
  out.endpoint_metrics = options.http.metrics;
  const char* debug = std::getenv("LLAMA_SERVER_SLOTS_DEBUG");
  out.slots_debug = debug != nullptr && std::string_view(debug) != "0";
  out.slot_save_path = options.context.slot_save_path;
  if (!out.slot_save_path.empty() && !std::filesystem::is_directory(out.slot_save_path)) {
    throw RequestError(fmt::format("--slot-save-path {}: not a folder; make it first",
                                   quoted(out.slot_save_path)));
  }
  out.web_page = options.http.page;
  out.media_marker = random_marker();
  out.build_info = "b1-ft" FORETOKEN_VERSION;
  return out;
}

api::ModelFacts model_facts(const ServeOptions& options, const gguf::File& file,
                            const tokenizer::Tokenizer& tokenizer) {
  const model::FileSummary summary = model::summarize(file);
  const gguf::Metadata& metadata = file.metadata();
  const auto number = [&](const char* key) {
    return static_cast<int>(metadata.find_u32(key).value_or(0));
  };
  api::ModelFacts out;
  out.aliases = split_list(options.source.alias, ',');
  if (out.aliases.empty()) {
    out.aliases.push_back(options.source.hub_repository.empty()
                              ? std::filesystem::path(file.path()).filename().string()
                              : options.source.hub_repository);
  }
  out.tags = split_list(options.source.tags, ',');
  out.path = file.path();
  out.file_type = summary.file_type;
  out.n_vocab = tokenizer.n_vocab();
  out.n_ctx_train = number("qwen35.context_length");
  out.d_model = number("qwen35.embedding_length");
  out.n_params = summary.n_elements;
  out.size_bytes = summary.size_bytes;
  out.n_mtp_layers = summary.mtp.complete() ? summary.mtp.announced : 0;
  out.bos_token = token_text(file, tokenizer, "tokenizer.ggml.bos_token_id");
  out.eos_token = token_text(file, tokenizer, "tokenizer.ggml.eos_token_id");
  return out;
}

SlotPlan plan_slots(const ServeContextOptions& options, int context, int n_context_train) {
  const bool automatic = options.parallel == "auto" || options.parallel == "-1";
  SlotPlan out;
  if (!automatic) {
    char* end = nullptr;
    const long n = std::strtol(options.parallel.c_str(), &end, 10);
    if (*end != '\0' || n < 1 || n > 256) {
      throw RequestError(fmt::format("--parallel {} is out of range; use 1 to 256, or auto",
                                     quoted(options.parallel)));
    }
    out.n_slots = static_cast<int>(n);
  } else {
    out.n_slots = kAutoSlots;
  }
  if (!options.cont_batching) out.n_slots = automatic ? 1 : out.n_slots;
  const int total = context == 0 ? n_context_train : context;
  const bool shared = automatic || options.kv_unified || options.kv_unified_per_slot > 0;
  out.n_context = shared ? total : total / out.n_slots;
  if (options.kv_unified_per_slot > 0) {
    out.n_context = std::min(out.n_context, options.kv_unified_per_slot);
  }
  out.n_context = std::min(out.n_context, n_context_train);
  if (out.n_context < 1) {
    throw RequestError(
        fmt::format("-c {} leaves nothing for each of {} slots; give more", context, out.n_slots));
  }
  return out;
}

std::size_t cache_bytes(const ServeContextOptions& options, int n_slots, std::size_t state_bytes) {
  constexpr std::size_t kNoBound = std::numeric_limits<std::size_t>::max() / 2;
  const std::size_t ram =
      options.cache_ram_mib < 0 ? kNoBound : static_cast<std::size_t>(options.cache_ram_mib) << 20;
  if (options.checkpoints < 0) return ram;
  const auto count =
      static_cast<std::size_t>(options.checkpoints) * static_cast<std::size_t>(n_slots);
  // Twice a state: its keys and values count too, and on long texts they are the larger part.
  return std::min(ram, std::max<std::size_t>(2 * count * state_bytes, std::size_t{1} << 20));
}

void settle_cache_types(ModelOptions& model, std::vector<std::string>& notices) {
  for (std::string* type : {&model.key_type, &model.value_type}) {
    static constexpr std::array kLarger = {"q5_1", "q5_0", "iq4_nl", "q4_1"};
    if (std::find(kLarger.begin(), kLarger.end(), *type) == kLarger.end()) continue;
    notices.push_back(fmt::format(
        "cache type {} is not kept here; the next more exact one, q8_0, is used", *type));
    *type = "q8_0";
  }
}

}  // namespace foretoken::tools
