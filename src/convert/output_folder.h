// A folder that appears whole or not at all: filled under a hidden name beside its place, then
// renamed. What a killed program leaves behind is removed by the next run.
#pragma once

#include <string>

namespace foretoken::convert {

/// Owner of an unfinished folder; destroyed before commit(), it removes it.
class OutputFolder {
 public:
  /// Makes ".NAME.foretoken-part" beside `path`, after removing what an earlier run left under that
  /// name. Throws RequestError when `path` is there already and is not an empty folder, or when
  /// another program is just making it; IoError with the system's reason.
  explicit OutputFolder(const std::string& path);
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;
  ~OutputFolder();

  /// Where a file of the folder is written until commit(). `name` may hold folders ("a/b.txt"),
  /// which are made. Throws IoError.
  std::string path_of(const std::string& name) const;
  /// Gives the folder its name. Throws IoError.
  void commit();

 private:
  std::string path_;
  std::string unfinished_;
  int lock_ = -1;  // held while the folder is being made
};

/// Throws RequestError when something is in the way of an output folder `path`.
void require_free_folder(const std::string& path);

}  // namespace foretoken::convert
