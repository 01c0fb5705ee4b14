// The ways a graft can go, one function each; graft.cpp picks. Internal to this folder.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "convert/graft.h"
#include "convert/graft_input.h"

namespace foretoken::convert {

/// Fills in head, files, size and `write` of a plan whose inputs fit. The inputs are kept by
/// `write`.
void plan_checkpoint_graft(const GraftInput& base, const GraftInput& finetune,
                           const GraftOptions& options, GraftPlan& plan);
void plan_gguf_graft(const GraftInput& base, const GraftInput& finetune,
                     const GraftOptions& options, GraftPlan& plan);
/// The head alone, in the format that the output's name asks for.
void plan_checkpoint_extract(const GraftInput& base, const GraftOptions& options, GraftPlan& plan);
void plan_gguf_extract(const GraftInput& base, const GraftOptions& options, GraftPlan& plan);

/// A file made of stretches of others and of new bytes, which together cover it.
struct ComposedFile {
  struct Piece {
    std::size_t offset = 0;
    std::vector<std::byte> bytes;  ///< new bytes, or empty
    FileRange range;               ///< otherwise what is copied
  };
  std::string name;
  std::size_t size = 0;
  std::vector<Piece> pieces;
};

ComposedFile new_file(std::string name, std::string_view text);
ComposedFile copy_of_file(std::string name, const std::string& path, std::size_t size);

/// Writes it to `path`; it appears whole or not at all.
void write_composed(const ComposedFile& file, const std::string& path, ThreadPool& pool,
                    const WriteProgress& progress);

/// The head's tensors in the order of a conversion, which takes them by checkpoint name; those that
/// only GGUF has come last.
std::vector<const HeadTensor*> in_checkpoint_order(const GraftInput& base);

}  // namespace foretoken::convert
