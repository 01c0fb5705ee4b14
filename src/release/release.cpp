#include "release/release.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <system_error>

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
}

bool files_are_there(const ReleasePlan& plan) {
  return std::ranges::all_of(plan.card.files, [&plan](const CardFile& file) {
    std::error_code error;
    return fs::file_size(fs::path(plan.out) / file.name, error) == file.size_bytes && !error;
  });
}

// Fills in hashes and measurements, one file after the other, keeping each result at once.
void examine_files(const ReleasePlan& plan, const RunOptions& options, Card& card,
                   Manifest& manifest, const StepProgress& progress) {
  const std::string state = state_path(plan.out);
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
      }
      write_manifest(state, manifest);
    }
    file.measured = known.measured;
    file.not_measured = known.is_measured             ? ""
                        : !known.not_measured.empty() ? known.not_measured
                                                      : "not measured";
  }
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
    result.n_resumed = write_release(plan.out, plan.sources, plan.files, plan.hash, pool,
                                     [&](std::size_t done, std::size_t total) {
                                       return !progress || progress("writing", done, total);
                                     });
    result.write_seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    manifest.written = true;
    write_manifest(state_path(plan.out), manifest);
  }
  examine_files(plan, options, result.card, manifest, progress);
  write_text((fs::path(plan.out) / "README.md").string(), render_model_card(result.card));
  manifest.measured = manifest.measured || measures;
  manifest.finished = true;
  write_manifest(manifest_path(plan.out), manifest);
  remove_folder(work);
  return result;
}

}  // namespace foretoken::release
