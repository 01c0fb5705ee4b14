// release.json in the folder of a release: which plan its files belong to, what is known of each,
// and how far the work got. Scripts read it; a later run of the same release goes on from it.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>

#include "release/model_card.h"

namespace foretoken::release {

struct ManifestFile {
  std::size_t size_bytes = 0;
  std::string sha256;
  bool is_measured = false;
  CardMeasurement measured;
  std::string not_measured;  ///< why not
};

struct Manifest {
  std::string plan;       ///< hash of the plan in hexadecimal; empty when there is no manifest
  bool written = false;   ///< all files are there, whole
  bool finished = false;  ///< hashes and card too
  bool measured = false;  ///< by a run that measured what it could
  std::map<std::string, ManifestFile> files;  ///< by name
};

/// An empty one when there is no such file. One that does not read as a manifest counts as none:
/// the files beside it then belong to nobody.
Manifest read_manifest(const std::string& path);
Manifest parse_manifest(std::string_view text);

/// Throws IoError.
void write_manifest(const std::string& path, const Manifest& manifest);

}  // namespace foretoken::release
