#include "llama_flags.h"

#include <algorithm>
#include <map>
#include <string_view>

namespace foretoken::tools {
namespace {

// Only exact matches are replaced, so a value that begins with a dash is safe unless it is one of
// these words.
const std::map<std::string_view, std::string_view> kSpellings = {
    {"-ctk", "--cache-type-k"},
    {"-ctv", "--cache-type-v"},
    {"-ub", "--ubatch-size"},
    {"-ngl", "--n-gpu-layers"},
    {"-fa", "--flash-attn"},
    {"-tb", "--threads-batch"},
    {"-sys", "--system-prompt"},
    {"-sysf", "--system-prompt-file"},
    {"-sp", "--special"},
    {"-rea", "--reasoning"},
    {"-cnv", "--conversation"},
    {"-mtp", "--spec-mtp"},
    {"-pg", "--prompt-gen"},
    {"-no-cnv", "--no-conversation"},
    {"-st", "--single-turn"},
    {"-oe", "--output-err"},
    {"-ofreq", "--output-frequency"},
    {"-nmtp", "--no-mtp"},
    {"-mli", "--multiline-input"},
    {"-dev", "--device"},
    {"-sm", "--split-mode"},
    {"-ts", "--tensor-split"},
    {"-mg", "--main-gpu"},
    {"-cmoe", "--cpu-moe"},
    {"-ncmoe", "--n-cpu-moe"},
    {"-ncffn", "--n-cpu-ffn"},
    {"-ot", "--override-tensor"},
    {"-fit", "--fit"},
    {"-fitt", "--fit-target"},
    {"-fitc", "--fit-ctx"},
    {"-lm", "--load-mode"},
    {"-lzm", "--lazy-mode"},
    {"-dio", "--direct-io"},
    {"-kvo", "--kv-offload"},
    {"-nkvo", "--no-kv-offload"},
    {"-nr", "--no-repack"},
    {"-mm", "--mmproj"},
    {"-mmu", "--mmproj-url"},
    {"-mmdev", "--mmproj-device"},
    {"-hf", "--hf-repo"},
    {"-hfr", "--hf-repo"},
    {"-hff", "--hf-file"},
    {"-hft", "--hf-token"},
    {"-mu", "--model-url"},
    {"-dr", "--docker-repo"},
    {"-np", "--parallel"},
    {"-cb", "--cont-batching"},
    {"-nocb", "--no-cont-batching"},
    {"-kvu", "--kv-unified"},
    {"-no-kvu", "--no-kv-unified"},
    {"-cram", "--cache-ram"},
    {"-ctxcp", "--ctx-checkpoints"},
    {"-cms", "--checkpoint-min-step"},
    {"-sps", "--slot-prompt-similarity"},
    {"-dt", "--defrag-thold"},
    {"-md", "--spec-draft-model"},
    {"-hfd", "--spec-draft-hf"},
    {"-hfrd", "--spec-draft-hf"},
    {"-ngld", "--spec-draft-ngl"},
    {"-devd", "--spec-draft-device"},
    {"-ctkd", "--spec-draft-type-k"},
    {"-ctvd", "--spec-draft-type-v"},
    {"-cmoed", "--spec-draft-cpu-moe"},
    {"-ncmoed", "--spec-draft-n-cpu-moe"},
    {"-otd", "--spec-draft-override-tensor"},
    {"-td", "--spec-draft-threads"},
    {"-tbd", "--spec-draft-threads-batch"},
    {"-cd", "--ctx-size-draft"},
    {"-to", "--timeout"},
    {"-lv", "--verbosity"},
    {"-jf", "--json-schema-file"},
    {"-bs", "--backend-sampling"},
    {"-Cr", "--cpu-range"},
    {"-Cb", "--cpu-mask-batch"},
    {"-Crb", "--cpu-range-batch"},
    {"-gan", "--grp-attn-n"},
    {"-gaw", "--grp-attn-w"},
    {"-ag", "--agent"},
    {"-no-ag", "--no-agent"},
    {"--draft", "--spec-draft-n-max"},
    {"--draft-max", "--spec-draft-n-max"},
    {"--draft-n", "--spec-draft-n-max"},
    {"--draft-min", "--spec-draft-n-min"},
    {"--draft-n-min", "--spec-draft-n-min"},
    {"--draft-p-min", "--spec-draft-p-min"},
    {"--mtp", "--spec-mtp"},
};

// `convert` has a --mtp of its own, which is llama.cpp's too.
std::string normalise(std::string_view argument, bool of_convert) {
  if (of_convert && argument == "--mtp") return std::string(argument);
  if (argument.size() > 2 && argument.starts_with("--")) {
    std::string out(argument);
    const auto end = std::find(out.begin(), out.end(), '=');
    std::replace(out.begin() + 2, end, '_', '-');
    const auto known =
        kSpellings.find(std::string_view(out.data(), static_cast<std::size_t>(end - out.begin())));
    if (known == kSpellings.end()) return out;
    return std::string(known->second) + std::string(end, out.end());
  }
  const auto known = kSpellings.find(argument);
  return std::string(known == kSpellings.end() ? argument : known->second);
}

}  // namespace

std::vector<std::string> normalise_flags(int argc, char** argv) {
  std::vector<std::string> out;
  const bool of_convert = argc > 1 && std::string_view(argv[1]) == "convert";
  for (int i = 1; i < argc; ++i) out.push_back(normalise(argv[i], of_convert));
  return out;
}

}  // namespace foretoken::tools
