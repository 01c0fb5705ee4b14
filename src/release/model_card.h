// The README.md of a released model: what the files are, how big, how good by measurement, and how
// to run them. Written for the page of a model hub, whose front matter it carries.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace foretoken::release {

/// Share of drafts that the model kept, drafting `depth` tokens a round.
struct CardAcceptance {
  int depth = 0;
  double accepted = 0.0;          ///< accepted / drafted
  double tokens_per_round = 0.0;  ///< the model's own token included
};

/// What was measured of one file; empty where nothing was.
struct CardMeasurement {
  std::optional<double> perplexity;
  double perplexity_error = 0.0;  ///< standard error
  std::vector<CardAcceptance> acceptance;
};

struct CardFile {
  std::string name;
  std::string type;  ///< "Q4_K_M"
  std::size_t size_bytes = 0;
  double bits_per_weight = 0.0;
  std::string sha256;
  bool is_vision = false;
  CardMeasurement measured;
  std::string not_measured;  ///< why not, as a sentence; empty when measured
};

struct Card {
  std::string model;             ///< name of the fine-tune
  std::string base;              ///< name of the model that the head came from
  std::string base_repository;   ///< "owner/name" of the fine-tune's base, or empty
  std::string license;           ///< or empty
  std::string size;              ///< "9B"
  std::size_t n_parameters = 0;  ///< trunk and head
  std::size_t n_head_parameters = 0;
  std::string imatrix;  ///< name of the file used, or empty
  bool protect_mtp = false;
  std::string perplexity_text;     ///< what the perplexity was measured on
  std::string acceptance_prompts;  ///< what the acceptance was measured on
  std::string version;             ///< of this program
  std::string command;             ///< how the files can be made again
  std::vector<CardFile> files;
};

/// Markdown with front matter.
std::string render_model_card(const Card& card);

}  // namespace foretoken::release
