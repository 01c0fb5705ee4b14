// A model of the Hugging Face hub as files on this machine: looked up, downloaded once, checked,
// kept. An interrupted download goes on where it stopped.
//
// Kept at FOLDER/user--model/PATH, beside "files.json", the list the hub gave, so that later starts
// can do without the network.
// Source: the hub's HTTP API (GET /api/models/REPO/tree/main, GET /REPO/resolve/main/PATH), 2026.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "hub/model_name.h"

namespace foretoken::hub {

struct FetchOptions {
  std::string endpoint = "https://huggingface.co";
  std::string token;
  std::string folder;    ///< where models are kept; made when missing
  bool offline = false;  ///< ask no network
  bool want_projector = true;
  /// (bytes done, bytes in all, file) now and then; false stops (Cancelled).
  std::function<bool(std::size_t done, std::size_t total, std::string_view file)> progress;
};

struct FetchedModel {
  std::string model_path;      ///< first part
  std::string projector_path;  ///< empty: none
};

/// `name` is USER/MODEL[:QUANT], `file` a path in the repository or empty. Throws RequestError
/// (malformed name, no such file, offline and not here), IoError (network, disk) or FormatError (a
/// list or a file that is not what the hub says it is).
FetchedModel fetch_model(std::string_view name, std::string_view file, const FetchOptions& options);

/// Files out of the hub's JSON list. Throws FormatError naming `source`.
std::vector<RemoteFile> parse_file_list(std::string_view json, const std::string& source);

}  // namespace foretoken::hub
