// Several files of one model, or one: all are written without a name first and get their names
// together at the end, so that a split model is never half there.
#pragma once

#include <span>

#include "base/thread_pool.h"
#include "convert/write_model.h"

namespace foretoken::convert {

/// Like write_file() for each target, but none gets its name before all are written. A program
/// killed between the renames at the very end can leave some of the files, each whole. `progress`
/// counts the bytes of all. Throws like write_file().
void write_files(std::span<const FileTarget> targets, ThreadPool& pool,
                 const WriteProgress& progress = {});

}  // namespace foretoken::convert
