// Flags of llama-server that scripts carry and that have no effect here, that mean something else
// by now, or that cannot be done. The first are accepted (some with a word in the log), the last
// are fatal in words: a server that silently leaves out what was asked for is worse than none.
// Source: docs/serve.md, "Flags that scripts carry".
#include <fmt/format.h>

#include <array>

#include "serve/options.h"

namespace foretoken::tools {
namespace {

enum class Takes { Nothing, Value };

struct Accepted {
  const char* flags;
  Takes takes;
  const char* notice;  ///< said in the log; null: nothing to say
};

constexpr const char* kCpuOnly = "this build computes on the CPU";

constexpr std::array kAccepted = {
    // Devices. There is one kind of memory here.
    Accepted{"--device", Takes::Value, nullptr},
    Accepted{"--split-mode", Takes::Value, nullptr},
    Accepted{"--tensor-split", Takes::Value, nullptr},
    Accepted{"--main-gpu", Takes::Value, nullptr},
    Accepted{"--cpu-moe", Takes::Nothing, nullptr},
    Accepted{"--n-cpu-moe", Takes::Value, nullptr},
    Accepted{"--n-cpu-ffn", Takes::Value, nullptr},
    Accepted{"--override-tensor", Takes::Value, kCpuOnly},
    Accepted{"--fit", Takes::Value, nullptr},
    Accepted{"--fit-target", Takes::Value, nullptr},
    Accepted{"--fit-ctx", Takes::Value, nullptr},
    Accepted{"--kv-offload", Takes::Nothing, nullptr},
    Accepted{"--no-kv-offload", Takes::Nothing, nullptr},
    Accepted{"--mmproj-offload", Takes::Nothing, nullptr},
    Accepted{"--no-mmproj-offload", Takes::Nothing, nullptr},
    Accepted{"--mmproj-device", Takes::Value, nullptr},
    Accepted{"--mtmd-batch-max-tokens", Takes::Value, nullptr},
    Accepted{"--op-offload", Takes::Nothing, nullptr},
    Accepted{"--no-op-offload", Takes::Nothing, nullptr},
    // Memory. Weights are packed once at load; the file's pages are dropped behind that.
    Accepted{"--load-mode", Takes::Value, "weights are always packed into memory at load"},
    Accepted{"--mmap", Takes::Nothing, nullptr},
    Accepted{"--no-mmap", Takes::Nothing, nullptr},
    Accepted{"--mlock", Takes::Nothing, "memory is not locked"},
    Accepted{"--direct-io", Takes::Nothing, nullptr},
    Accepted{"--lazy-mode", Takes::Value, nullptr},
    Accepted{"--numa", Takes::Value, "threads are not placed by NUMA node"},
    Accepted{"--repack", Takes::Nothing, nullptr},
    Accepted{"--no-repack", Takes::Nothing, "weights are always packed"},
    Accepted{"--no-host", Takes::Nothing, nullptr},
    Accepted{"--check-tensors", Takes::Nothing, nullptr},
    // Threads.
    Accepted{"--threads-batch", Takes::Value, nullptr},
    Accepted{"--threads-http", Takes::Value, nullptr},
    Accepted{"-C,--cpu-mask", Takes::Value, "threads are not pinned"},
    Accepted{"--cpu-range", Takes::Value, "threads are not pinned"},
    Accepted{"--cpu-strict", Takes::Value, nullptr},
    Accepted{"--prio", Takes::Value, nullptr},
    Accepted{"--poll", Takes::Value, nullptr},
    Accepted{"--cpu-mask-batch", Takes::Value, "threads are not pinned"},
    Accepted{"--cpu-range-batch", Takes::Value, "threads are not pinned"},
    Accepted{"--cpu-strict-batch", Takes::Value, nullptr},
    Accepted{"--prio-batch", Takes::Value, nullptr},
    Accepted{"--poll-batch", Takes::Value, nullptr},
    // Caches.
    Accepted{"--cache-reuse", Takes::Value,
             "--cache-reuse: text cannot be shifted in a recurrent model; ignored"},
    Accepted{"--context-shift", Takes::Nothing,
             "--context-shift: text cannot be shifted in a recurrent model; ignored"},
    Accepted{"--no-context-shift", Takes::Nothing, nullptr},
    Accepted{"--cache-idle-slots", Takes::Nothing, nullptr},
    Accepted{"--no-cache-idle-slots", Takes::Nothing, nullptr},
    Accepted{"--slot-prompt-similarity", Takes::Value, nullptr},
    Accepted{"--keep", Takes::Value, nullptr},
    Accepted{"--swa-full", Takes::Nothing, nullptr},
    Accepted{"--defrag-thold", Takes::Value, nullptr},
    // Speculation.
    Accepted{"--spec-draft-p-split,--draft-p-split", Takes::Value, nullptr},
    Accepted{"--spec-draft-ngl,--gpu-layers-draft,--n-gpu-layers-draft", Takes::Value, nullptr},
    Accepted{"--spec-draft-device,--device-draft", Takes::Value, nullptr},
    Accepted{"--spec-draft-type-k,--cache-type-k-draft", Takes::Value,
             "the MTP head's cache has the type of the model's"},
    Accepted{"--spec-draft-type-v,--cache-type-v-draft", Takes::Value,
             "the MTP head's cache has the type of the model's"},
    Accepted{"--spec-draft-backend-sampling", Takes::Nothing, nullptr},
    Accepted{"--no-spec-draft-backend-sampling", Takes::Nothing, nullptr},
    Accepted{"--spec-default", Takes::Nothing, nullptr},
    Accepted{"--spec-draft-cpu-moe,--cpu-moe-draft", Takes::Nothing, nullptr},
    Accepted{"--spec-draft-n-cpu-moe,--spec-draft-ncmoe,--n-cpu-moe-draft", Takes::Value, nullptr},
    Accepted{"--spec-draft-override-tensor,--override-tensor-draft", Takes::Value, nullptr},
    Accepted{"--spec-draft-threads,--threads-draft", Takes::Value, nullptr},
    Accepted{"--spec-draft-threads-batch,--threads-batch-draft", Takes::Value, nullptr},
    Accepted{"--spec-ngram-mod-n-match", Takes::Value, nullptr},
    Accepted{"--spec-ngram-mod-n-min", Takes::Value, nullptr},
    Accepted{"--spec-ngram-mod-n-max", Takes::Value, nullptr},
    Accepted{"--spec-ngram-size-n", Takes::Value, nullptr},
    Accepted{"--spec-ngram-size-m", Takes::Value, nullptr},
    Accepted{"--spec-ngram-min-hits", Takes::Value, nullptr},
    Accepted{"--ctx-size-draft", Takes::Value, nullptr},
    // The rest.
    Accepted{"--backend-sampling", Takes::Nothing, nullptr},
    Accepted{"--ui-config,--webui-config", Takes::Value, nullptr},
    Accepted{"--ui-config-file,--webui-config-file", Takes::Value, nullptr},
    Accepted{"--media-path", Takes::Value, nullptr},
    Accepted{"--no-ui-mcp-proxy,--no-webui-mcp-proxy", Takes::Nothing, nullptr},
    Accepted{"--no-agent", Takes::Nothing, nullptr},
    Accepted{"--perf", Takes::Nothing, nullptr},
    Accepted{"--no-perf", Takes::Nothing, nullptr},
    Accepted{"-e,--escape", Takes::Nothing, nullptr},
    Accepted{"--no-escape", Takes::Nothing, nullptr},
    Accepted{"--log-prompts-dir", Takes::Value, "prompts are not logged"},
    Accepted{"--rope-freq-base", Takes::Value, "the model's own is used"},
    Accepted{"--rope-freq-scale", Takes::Value, "the model's own is used"},
    Accepted{"--grp-attn-n", Takes::Value, nullptr},
    Accepted{"--grp-attn-w", Takes::Value, nullptr},
};

struct Refused {
  const char* flags;
  Takes takes;
  const char* reason;
};

constexpr const char* kNoAdapters = "adapters are not supported; merge it into the model";
constexpr const char* kNoRouter =
    "one server serves one model; start one for each, llama-swap style programs do that";
constexpr const char* kNoYarn = "longer contexts by YaRN are not supported";

constexpr std::array kRefused = {
    Refused{"--model-url", Takes::Value, "download the file and give it with -m, or use -hf"},
    Refused{"--docker-repo", Takes::Value, "download the file and give it with -m, or use -hf"},
    Refused{"--mmproj-url", Takes::Value, "download the file and give it with --mmproj"},
    Refused{"--rpc", Takes::Value, "computing on other machines is not supported"},
    Refused{"--lora", Takes::Value, kNoAdapters},
    Refused{"--lora-scaled", Takes::Value, kNoAdapters},
    Refused{"--control-vector", Takes::Value, "control vectors are not supported"},
    Refused{"--control-vector-scaled", Takes::Value, "control vectors are not supported"},
    Refused{"--override-kv", Takes::Value, "change the file itself: foretoken quantize has it"},
    Refused{"--models-dir", Takes::Value, kNoRouter},
    Refused{"--models-preset", Takes::Value, kNoRouter},
    Refused{"--models-max", Takes::Value, kNoRouter},
    Refused{"--models-autoload", Takes::Nothing, kNoRouter},
    Refused{"--tools", Takes::Value, "the server runs no tools itself"},
    Refused{"--agent", Takes::Nothing, "the server runs no tools itself"},
    Refused{"--mcp-servers-config", Takes::Value, "the server runs no tools itself"},
    Refused{"--mcp-servers-json", Takes::Value, "the server runs no tools itself"},
    Refused{"--ui-mcp-proxy,--webui-mcp-proxy", Takes::Nothing, "there is no open proxy here"},
    Refused{"--embedding,--embeddings", Takes::Nothing, "embeddings are not supported"},
    Refused{"--rerank,--reranking", Takes::Nothing, "ranking needs a model of another kind"},
    Refused{"--pooling", Takes::Value, "embeddings are not supported"},
    Refused{"--spec-draft-hf,--hf-repo-draft", Takes::Value,
            "download the head and give it with -md"},
    Refused{"--rope-scaling", Takes::Value, kNoYarn},
    Refused{"--rope-scale", Takes::Value, kNoYarn},
    Refused{"--yarn-orig-ctx", Takes::Value, kNoYarn},
    Refused{"--yarn-ext-factor", Takes::Value, kNoYarn},
    Refused{"--yarn-attn-factor", Takes::Value, kNoYarn},
    Refused{"--yarn-beta-slow", Takes::Value, kNoYarn},
    Refused{"--yarn-beta-fast", Takes::Value, kNoYarn},
};

// "--a,--b" -> "--a"
std::string first_name(const char* flags) {
  const std::string text(flags);
  return text.substr(0, text.find(','));
}

void add_accepted(CLI::App& group, const Accepted& flag, std::vector<std::string>& notices) {
  const std::string notice =
      flag.notice == nullptr ? "" : fmt::format("{}: {}", first_name(flag.flags), flag.notice);
  const auto note = [notice, &notices] {
    if (!notice.empty()) notices.push_back(notice);
  };
  if (flag.takes == Takes::Nothing) {
    group.add_flag_callback(flag.flags, note)->group("");
  } else {
    group.add_option_function<std::string>(flag.flags, [note](const std::string&) { note(); })
        ->group("");
  }
}

void add_refused(CLI::App& group, const Refused& flag, std::string& refused) {
  const std::string reason = fmt::format("{}: {}", first_name(flag.flags), flag.reason);
  const auto refuse = [reason, &refused] { refused = reason; };
  if (flag.takes == Takes::Nothing) {
    group.add_flag_callback(flag.flags, refuse)->group("");
  } else {
    group.add_option_function<std::string>(flag.flags, [refuse](const std::string&) { refuse(); })
        ->group("");
  }
}

}  // namespace

void add_serve_compatibility_options(CLI::App& app, ServeOptions& options) {
  for (const Accepted& flag : kAccepted) add_accepted(app, flag, options.notices);
  for (const Refused& flag : kRefused) add_refused(app, flag, options.refused);
}

}  // namespace foretoken::tools
