#include "release/model_card.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <iterator>

namespace foretoken::release {
namespace {

// A YAML scalar that cannot be anything else, whatever a folder's name contains.
std::string yaml_string(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) >= 0x20) out += c;
  }
  return out + '"';
}

// Text in a table's cell or a sentence, so that a name cannot end a cell or start markup.
std::string cell(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (std::string_view("\\|`*_<>[]#").find(c) != std::string_view::npos) out += '\\';
    if (static_cast<unsigned char>(c) >= 0x20) out += c;
  }
  return out;
}

std::string size_text(std::size_t bytes) {
  const auto n = static_cast<double>(bytes);
  return n >= 1e9 ? fmt::format("{:.2f} GB", n / 1e9) : fmt::format("{:.1f} MB", n / 1e6);
}

std::string parameters_text(std::size_t n) {
  const auto value = static_cast<double>(n);
  return n >= 1'000'000'000 ? fmt::format("{:.2f} billion", value / 1e9)
                            : fmt::format("{:.1f} million", value / 1e6);
}

void front_matter(const Card& card, std::back_insert_iterator<std::string> out) {
  fmt::format_to(out, "---\n");
  if (!card.license.empty()) fmt::format_to(out, "license: {}\n", yaml_string(card.license));
  if (!card.base_repository.empty()) {
    fmt::format_to(out, "base_model: {}\n", yaml_string(card.base_repository));
  }
  fmt::format_to(out, "pipeline_tag: text-generation\nlibrary_name: gguf\n");
  fmt::format_to(out, "tags:\n- gguf\n- qwen3.5\n- mtp\n- speculative-decoding\n---\n\n");
}

void file_table(const Card& card, std::back_insert_iterator<std::string> out) {
  fmt::format_to(out, "## Files\n\n| File | Type | Size | Bits per weight |\n|---|---|---|---|\n");
  for (const CardFile& file : card.files) {
    fmt::format_to(out, "| `{}` | {} | {} | {:.2f} |\n", file.name,
                   file.is_vision ? file.type + ", vision" : file.type, size_text(file.size_bytes),
                   file.bits_per_weight);
  }
  fmt::format_to(out, "\nCheck a download with `sha256sum`:\n\n```\n");
  for (const CardFile& file : card.files) fmt::format_to(out, "{}  {}\n", file.sha256, file.name);
  fmt::format_to(out, "```\n\n");
}

void measurement_table(const Card& card, std::back_insert_iterator<std::string> out) {
  if (std::ranges::none_of(
          card.files, [](const CardFile& file) { return file.measured.perplexity.has_value(); })) {
    return;
  }
  std::vector<int> depths;
  for (const CardFile& file : card.files) {
    for (const CardAcceptance& row : file.measured.acceptance) depths.push_back(row.depth);
  }
  std::sort(depths.begin(), depths.end());
  depths.erase(std::unique(depths.begin(), depths.end()), depths.end());
  fmt::format_to(out, "## Measured\n\n| Type | Perplexity |");
  for (const int depth : depths) fmt::format_to(out, " Accepted, {} a round |", depth);
  fmt::format_to(out, "\n|---|---|");
  for (std::size_t i = 0; i < depths.size(); ++i) fmt::format_to(out, "---|");
  fmt::format_to(out, "\n");
  for (const CardFile& file : card.files) {
    if (file.is_vision) continue;
    if (!file.not_measured.empty()) {
      fmt::format_to(out, "| {} | {} |", file.type, cell(file.not_measured));
      for (std::size_t i = 0; i < depths.size(); ++i) fmt::format_to(out, " |");
      fmt::format_to(out, "\n");
      continue;
    }
    fmt::format_to(out, "| {} |", file.type);
    if (file.measured.perplexity) {
      fmt::format_to(out, " {:.4f} ± {:.4f} |", *file.measured.perplexity,
                     file.measured.perplexity_error);
    } else {
      fmt::format_to(out, " |");
    }
    for (const int depth : depths) {
      const auto& rows = file.measured.acceptance;
      const auto row = std::find_if(rows.begin(), rows.end(),
                                    [&](const CardAcceptance& r) { return r.depth == depth; });
      if (row == rows.end()) {
        fmt::format_to(out, " |");
      } else {
        fmt::format_to(out, " {:.1f} % ({:.2f} tokens) |", row->accepted * 100.0,
                       row->tokens_per_round);
      }
    }
    fmt::format_to(out, "\n");
  }
  fmt::format_to(out,
                 "\nPerplexity on {}; lower is better, and only comparable within this table. "
                 "Accepted: the share of drafted tokens that the model kept when that many were "
                 "drafted a round, and in brackets the tokens that each pass of the model gave, on "
                 "{}, greedy.\n\n",
                 card.perplexity_text, card.acceptance_prompts);
}

void usage(const Card& card, std::back_insert_iterator<std::string> out) {
  const auto text = std::find_if(card.files.rbegin(), card.files.rend(),
                                 [](const CardFile& file) { return !file.is_vision; });
  if (text == card.files.rend()) return;
  fmt::format_to(out,
                 "## Use\n\nWith Foretoken:\n\n```\nforetoken run -m {0} --spec-type draft-mtp "
                 "--spec-draft-n-max 3\n```\n\nWith llama.cpp (a release that knows `qwen35` with "
                 "its MTP block):\n\n```\nllama-server -m {0} --spec-type draft-mtp "
                 "--spec-draft-n-max 2\n```\n\nGreedy text is the same with and without drafting; "
                 "sampled text has the same distribution.\n\n",
                 text->name);
}

void provenance(const Card& card, std::back_insert_iterator<std::string> out) {
  fmt::format_to(out,
                 "## How it was made\n\nFine-tuning lost the multi-token-prediction head of the "
                 "base model. It was taken from {} and grafted on unchanged: {} of the {} "
                 "parameters here. The other weights are those of {}.\n\n",
                 cell(card.base), parameters_text(card.n_head_parameters),
                 parameters_text(card.n_parameters), cell(card.model));
  fmt::format_to(out, "Quantization: the mixtures of llama-quantize");
  if (card.protect_mtp) {
    fmt::format_to(out, ", but at least 8 bits for the MTP block and the gates of the delta nets");
  }
  if (card.imatrix.empty()) {
    fmt::format_to(out, ", without an importance matrix.\n\n");
  } else {
    fmt::format_to(out, ", with the importance matrix `{}`.\n\n", cell(card.imatrix));
  }
  fmt::format_to(out, "Made with Foretoken {}:\n\n```\n{}\n```\n", card.version, card.command);
}

}  // namespace

std::string render_model_card(const Card& card) {
  std::string text;
  const auto out = std::back_inserter(text);
  front_matter(card, out);
  fmt::format_to(out, "# {} with its MTP head, as GGUF\n\n", cell(card.model));
  fmt::format_to(out,
                 "A Qwen3.5 model{} with the head that drafts its next tokens, so that text comes "
                 "faster and stays the same.\n\n",
                 card.size.empty() ? "" : fmt::format(" ({})", cell(card.size)));
  file_table(card, out);
  measurement_table(card, out);
  usage(card, out);
  provenance(card, out);
  return text;
}

}  // namespace foretoken::release
