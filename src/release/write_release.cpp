#include "release/write_release.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>

#include "base/error.h"
#include "base/output_file.h"
#include "convert/write_model.h"
#include "release/journal.h"

namespace foretoken::release {
namespace {

namespace fs = std::filesystem;

struct OpenFile {
  const ReleaseFile* file = nullptr;
  gguf::Writer::Layout layout;
  std::unique_ptr<OutputFile> output;  // null: an earlier run has given it its name already
};

std::string unfinished_path(const std::string& work, const ReleaseFile& file) {
  return (fs::path(work) / fs::path(file.path).filename()).string() + ".part";
}

void remove_unfinished(const std::string& work, std::span<const ReleaseFile> files) {
  for (const ReleaseFile& file : files) {
    const std::string path = unfinished_path(work, file);
    std::error_code error;
    fs::remove(path, error);
    if (error) throw IoError(fmt::format("{}: cannot remove: {}", path, error.message()));
  }
}

// A file that an earlier run of the same plan has finished and named.
bool has_its_name(const ReleaseFile& file, const std::string& work, std::size_t size_bytes) {
  std::error_code error;
  return !fs::exists(unfinished_path(work, file), error) && fs::exists(file.path, error) &&
         fs::file_size(file.path, error) == size_bytes;
}

// Whether everything is still there that a journal with finished tensors speaks of. A new file in
// place of one that somebody has removed would have zeros where these tensors belong.
bool outputs_are_there(std::span<const ReleaseFile> files, const std::string& work, bool all_done) {
  return std::ranges::all_of(files, [&](const ReleaseFile& file) {
    const std::size_t size = file.keys.layout().file_bytes;
    std::error_code error;
    const bool unfinished = fs::file_size(unfinished_path(work, file), error) == size && !error;
    return unfinished || (all_done && has_its_name(file, work, size));
  });
}

std::vector<OpenFile> open_files(std::span<const ReleaseFile> files, const std::string& work,
                                 bool all_done) {
  std::vector<OpenFile> out;
  for (const ReleaseFile& file : files) {
    OpenFile open{&file, file.keys.layout(), nullptr};
    if (!all_done || !has_its_name(file, work, open.layout.file_bytes)) {
      open.output = std::make_unique<OutputFile>(file.path, unfinished_path(work, file));
      open.output->reserve(open.layout.file_bytes);
      open.output->write_at(0, open.layout.header);
    }
    out.push_back(std::move(open));
  }
  return out;
}

// Nothing is kept of a beginning that failed: on a full disk it would only be in the way.
std::vector<OpenFile> open_new_files(std::span<const ReleaseFile> files, const std::string& work) {
  try {
    return open_files(files, work, false);
  } catch (const IoError&) {
    remove_unfinished(work, files);
    throw;
  }
}

std::vector<convert::TensorOutput> outputs_of(std::span<const OpenFile> files, std::size_t source) {
  std::vector<convert::TensorOutput> out;
  for (const OpenFile& open : files) {
    const std::size_t place = open.file->place[source];
    if (place == ReleaseFile::npos || !open.output) continue;
    const std::vector<float>* importance = open.file->importance[source];
    out.push_back({.type = open.file->types[source],
                   .importance = importance == nullptr ? std::span<const float>() : *importance,
                   .file = open.output.get(),
                   .offset = open.layout.offsets[place]});
  }
  return out;
}

std::size_t bytes_of(std::span<const OpenFile> files, std::size_t source) {
  std::size_t n = 0;
  for (const OpenFile& open : files) {
    const std::size_t place = open.file->place[source];
    if (place != ReleaseFile::npos) n += open.layout.sizes[place];
  }
  return n;
}

}  // namespace

std::string work_folder(const std::string& out) {
  return (fs::path(out) / ".foretoken-release").string();
}

std::size_t write_release(const std::string& out, std::span<const convert::TensorSource> sources,
                          std::span<const ReleaseFile> files, const Sha256& plan, ThreadPool& pool,
                          const ReleaseProgress& progress,
                          const std::function<void()>& before_naming) {
  const std::string work = work_folder(out);
  const std::string journal_path = (fs::path(work) / "journal").string();
  std::optional<Journal> journal(std::in_place, journal_path, plan, sources.size());
  if (journal->n_done() > 0 &&
      !outputs_are_there(files, work, journal->n_done() == sources.size())) {
    journal.reset();
    fs::remove(journal_path);
    journal.emplace(journal_path, plan, sources.size());
  }
  if (!journal->resumed()) remove_unfinished(work, files);  // of before the system's last start
  const std::size_t n_resumed = journal->n_done();
  const std::vector<OpenFile> open = n_resumed == 0
                                         ? open_new_files(files, work)
                                         : open_files(files, work, n_resumed == sources.size());

  std::size_t total = 0;
  for (std::size_t i = 0; i < sources.size(); ++i) total += bytes_of(open, i);
  std::size_t done = 0;
  const auto report = [&](std::size_t now) {
    if (!progress || progress(now, total)) return true;
    throw Cancelled(fmt::format("{}: stopped; the same command goes on from here", out));
  };
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const std::size_t size = bytes_of(open, i);
    if (!journal->is_done(i)) {
      convert::write_tensor(
          sources[i], outputs_of(open, i), pool,
          [&](std::size_t written, std::size_t) { return report(done + written); });
      journal->mark_done(i);
      report(done + size);
    }
    done += size;
  }
  if (before_naming) before_naming();
  for (const OpenFile& file : open) {
    if (file.output) file.output->commit();
  }
  return n_resumed;
}

}  // namespace foretoken::release
