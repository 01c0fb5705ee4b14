// "user/model:Q4_K_M": which repository of the hub, and which of its files.
//
// A repository holds one model in several types, perhaps in parts, and files beside it (a vision
// projector, importance matrices, an MTP head of its own). The type is looked for in the file's
// name, as people write it there.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace foretoken::hub {

struct ModelName {
  std::string repository;  ///< "user/model"
  std::string quant;       ///< "Q4_K_M"; empty: not said
};

/// Throws RequestError unless the text is USER/MODEL or USER/MODEL:QUANT of letters, digits, '.',
/// '_' and '-'.
ModelName parse_model_name(std::string_view text);

/// A file of a repository.
struct RemoteFile {
  std::string path;  ///< from the repository's root
  std::size_t size_bytes = 0;
  std::string sha256;  ///< 64 hexadecimal digits; empty for files stored in git itself
};

struct ChosenFiles {
  std::vector<RemoteFile> model;        ///< the parts in order; one for an unsplit model
  std::optional<RemoteFile> projector;  ///< the vision projector, where there is one
};

/// Picks the model of type `quant` (Q4_K_M, else Q8_0, else the first, where it is empty), or the
/// file named `file` if that is not empty. Throws RequestError naming what there is to choose from.
ChosenFiles choose_files(const std::vector<RemoteFile>& files, const ModelName& name,
                         std::string_view file);

}  // namespace foretoken::hub
