// What a model thinks of every next token of a text, in a file, so that another file of the same
// model can be compared with it later. 16 bits a token: log-probabilities as steps below the most
// probable one, which is exact. Both sides of a comparison go through the same rounding
// (RoundedRow), so a model compared with itself differs by exactly nothing.
//
//   "FTLOGITS", u32 version = 1, u32 n_vocab, u32 window, u32 first_scored, u32 n_windows, u32 0
//   i32 token [n_windows * window]
//   per scored token: f32 top, f32 step, u32 check, u16 code [n_vocab]
// All little-endian, nothing else, no padding. log p_i = top - step * code_i.
// Source: docs/evaluation.md, "The file of logits"; the idea is llama-perplexity's
// --kl-divergence-base.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "base/output_file.h"
#include "base/token.h"

namespace foretoken::eval {

/// Natural logarithms of probabilities, rounded to the file's 16 bits.
struct RoundedRow {
  float top = 0.0F;                  ///< log-probability of the most probable token
  float step = 0.0F;                 ///< >= 0
  std::vector<std::uint16_t> codes;  ///< [n_vocab]; 0 at the top

  /// Probabilities below e^-40 of the top's count as that: all of them together are less than
  /// 1e-11.
  static constexpr double kRange = 40.0;

  /// Rounds the log-softmax of logits [n_vocab]. What is not finite counts as minus infinity.
  /// Throws FormatError when no logit is finite.
  void assign(std::span<const float> logits);
  /// Log-probabilities [n_vocab], normalised again after the rounding.
  void decode(std::vector<double>& out) const;
  /// FNV-1a over the 32-bit words of top, step and codes (the last word filled up with zeros),
  /// folded to 32 bits. Finds damage, not forgery.
  std::uint32_t check() const;
};

/// What a file is about, known before its rows.
struct LogitsHeader {
  std::uint32_t n_vocab = 0;
  std::uint32_t window = 0;        ///< tokens of a window
  std::uint32_t first_scored = 0;  ///< index in a window of the first token that counts
  std::uint32_t n_windows = 0;

  std::size_t n_tokens() const { return std::size_t{window} * n_windows; }
  std::size_t n_rows() const { return std::size_t{window - first_scored} * n_windows; }
};

/// Writes a file that appears whole in finish() or not at all.
class LogitsWriter {
 public:
  /// Throws RequestError for a header that a reader would refuse or tokens that do not fit it,
  /// IoError when the file cannot be made or there is no room for it.
  LogitsWriter(const std::string& path, const LogitsHeader& header,
               std::span<const TokenId> tokens);
  /// The next row's logits [n_vocab]; header.n_rows() of them must come. Throws IoError.
  void write(std::span<const float> logits);
  void finish();

 private:
  OutputFile file_;
  RoundedRow row_;
  std::vector<std::byte> bytes_;  // of one row
};

/// An opened file, mapped. The header, the length and the tokens are checked when it is opened,
/// each row when it is read.
class LogitsFile {
 public:
  /// Throws IoError when it cannot be read and FormatError when it breaks a rule.
  static LogitsFile open(const std::string& path);
  /// The same for bytes in memory, which must outlive the result; `name` stands in errors.
  static LogitsFile from_memory(std::span<const std::byte> bytes, const std::string& name);

  const LogitsHeader& header() const { return header_; }
  std::span<const TokenId> tokens() const { return tokens_; }
  /// Row `index` < header().n_rows() into `out`. Throws FormatError when its bytes are damaged.
  void read_row(std::size_t index, RoundedRow& out) const;

 private:
  LogitsFile() = default;
  void parse();

  std::string name_;
  MappedFile mapping_;  // empty for from_memory
  std::span<const std::byte> bytes_;
  LogitsHeader header_;
  std::vector<TokenId> tokens_;
  std::size_t first_row_ = 0;
};

}  // namespace foretoken::eval
