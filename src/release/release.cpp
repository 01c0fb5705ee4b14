#include "release/release.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <system_error>

#include "base/descriptor.h"
#include "base/error.h"
#include "base/output_file.h"
#include "engine/engine.h"
#include "release/manifest.h"

namespace foretoken::release {
namespace {

namespace fs = std::filesystem;

void write_text(const std::string& path, const std::string& text) {
  OutputFile file(path);
  file.write(std::as_bytes(std::span(text)));
  file.commit();
}

std::string manifest_path(const std::string& out) {
  return (fs::path(out) / "release.json").string();
}

std::string card_path(const std::string& out) { return (fs::path(out) / "README.md").string(); }

std::string state_path(const std::string& out) {
  return (fs::path(work_folder(out)) / "state.json").string();
}

// Of the unfinished work where there is some, else of the finished.
Manifest find_manifest(const std::string& out) {
  const Manifest unfinished = read_manifest(state_path(out));
  return unfinished.plan.empty() ? read_manifest(manifest_path(out)) : unfinished;
}

void remove_folder(const std::string& folder) {
  std::error_code error;
  fs::remove_all(folder, error);
  if (error) throw IoError(fmt::format("{}: cannot remove: {}", folder, error.message()));
}

void make_folder(const std::string& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw IoError(fmt::format("{}: cannot create: {}", folder, error.message()));
}

// Held while a release is written: two at a time would take each other's unfinished files away. The
// system lets go of it when the process ends, however it does.
class FolderLock {
 public:
  explicit FolderLock(const std::string& folder)
      : folder_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    // File systems without locks, and folders that may not be read, go without.
    if (folder_.get() < 0 || ::flock(folder_.get(), LOCK_EX | LOCK_NB) == 0 ||
        errno != EWOULDBLOCK) {
      return;
    }
    throw RequestError(fmt::format(
        "{}: another release is being written here; wait for it or choose another --out", folder));
  }

 private:
  Descriptor folder_;
};

// Files of these names that are not what this plan makes would be lost.
void refuse_other_files(const ReleasePlan& plan, const Manifest& manifest) {
  for (const ReleaseFile& file : plan.files) {
    std::error_code error;
    if (!fs::exists(file.path, error) || manifest.plan == to_hex(plan.hash)) continue;
    throw RequestError(
        fmt::format("{}: there already, and not of this release (other sources or options); remove "
                    "it or choose "
                    "another --out",
                    file.path));
  }
  if (!manifest.plan.empty()) return;  // README.md and release.json are an earlier release's
  for (const std::string& path : {card_path(plan.out), manifest_path(plan.out)}) {
    std::error_code error;
    if (!fs::exists(path, error)) continue;
    throw RequestError(fmt::format(
        "{}: there already, and not of a release; move it away or choose another --out", path));
  }
}

bool files_are_there(const ReleasePlan& plan) {
  return std::ranges::all_of(plan.card.files, [&plan](const CardFile& file) {
    std::error_code error;
    return fs::file_size(fs::path(plan.out) / file.name, error) == file.size_bytes && !error;
  });
}

// Fills in hashes and measurements, one file after the other, keeping each result at once. Whether
// anything new was learnt.
bool examine_files(const ReleasePlan& plan, const RunOptions& options, Card& card,
                   Manifest& manifest, const StepProgress& progress) {
  const std::string state = state_path(plan.out);
  bool learnt = false;
  for (CardFile& file : card.files) {
    const std::string path = (fs::path(plan.out) / file.name).string();
    ManifestFile& known = manifest.files[file.name];
    const auto step = [&](const std::string& what, std::size_t done, std::size_t total) {
      return !progress || progress(fmt::format("{} {}", what, file.name), done, total);
    };
    known.size_bytes = file.size_bytes;
    if (known.sha256.empty()) {
      known.sha256 = to_hex(sha256_of_file(
          path, [&](std::size_t done) { return step("hashing", done, file.size_bytes); }));
      learnt = true;
      write_manifest(state, manifest);
    }
    file.sha256 = known.sha256;
    if (file.is_vision) continue;
    if (!known.is_measured && options.measure) {
      known.not_measured = lacks_memory(file.size_bytes);
      if (known.not_measured.empty()) {
        known.measured = measure(path, {.n_threads = options.n_threads},
                                 [&](const char* what, std::size_t done, std::size_t total) {
                                   return step(what, done, total);
                                 });
        known.is_measured = true;
        learnt = true;
      }
      write_manifest(state, manifest);
    }
    file.measured = known.measured;
    file.not_measured = known.is_measured             ? ""
                        : !known.not_measured.empty() ? known.not_measured
                                                      : "not measured";
  }
  return learnt;
}

}  // namespace

std::size_t ReleasePlan::bytes() const {
  std::size_t n = 0;
  for (const ReleaseFile& file : files) n += file.keys.layout().file_bytes;
  return n;
}

ReleaseResult run_release(const ReleasePlan& plan, const RunOptions& options,
                          const StepProgress& progress) {
  ReleaseResult result;
  result.card = plan.card;
  const std::string work = work_folder(plan.out);
  const std::string hash = to_hex(plan.hash);
  make_folder(plan.out);
  const FolderLock lock(plan.out);
  Manifest manifest = find_manifest(plan.out);
  refuse_other_files(plan, manifest);
  if (!files_are_there(plan)) {  // somebody has removed or cut one
    manifest.written = false;
    manifest.files.clear();
  }
  const bool measures = options.measure;
  result.was_complete = manifest.plan == hash && manifest.written && manifest.finished &&
                        (manifest.measured || !measures);
  if (manifest.plan != hash) {
    remove_folder(work);  // of another plan
    manifest = {};
    manifest.plan = hash;
  }
  make_folder(work);
  // Noted before the first file can get its name: a later run then knows the files for its own.
  write_manifest(state_path(plan.out), manifest);
  if (!manifest.written) {
    const auto start = std::chrono::steady_clock::now();
    ThreadPool pool(options.n_threads > 0 ? options.n_threads : engine::available_cores());
    result.n_resumed = write_release(
        plan.out, plan.sources, plan.files, plan.hash, pool,
        [&](std::size_t done, std::size_t total) {
          return !progress || progress("writing", done, total);
        },
        plan.check_sources);
    result.write_seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    manifest.written = true;
    write_manifest(state_path(plan.out), manifest);
  }
  const bool learnt = examine_files(plan, options, result.card, manifest, progress);
  // What its owner has written into a finished card since is not taken away.
  if (!result.was_complete || learnt || !fs::exists(card_path(plan.out))) {
    write_text(card_path(plan.out), render_model_card(result.card));
  }
  manifest.measured = manifest.measured || measures;
  manifest.finished = true;
  write_manifest(manifest_path(plan.out), manifest);
  remove_folder(work);
  return result;
}

}  // namespace foretoken::release
