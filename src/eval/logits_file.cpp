// Rounding, writing and checked reading; the layout is in the header.
#include "eval/logits_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string_view>

#include "base/bytes.h"
#include "base/error.h"
#include "base/text.h"

namespace foretoken::eval {
namespace {

constexpr std::string_view kMagic = "FTLOGITS";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kHeaderBytes = 8 + 6 * sizeof(std::uint32_t);
constexpr std::size_t kRowHeaderBytes = 3 * sizeof(std::uint32_t);
constexpr double kMaxCode = 65535.0;
// With these limits no size overflows 64 bits: 2^28 tokens with rows of 2^21 + 12 bytes.
constexpr std::uint32_t kMaxVocab = 1U << 20;
constexpr std::uint32_t kMaxWindow = 1U << 20;
constexpr std::uint32_t kMaxTokens = 1U << 28;

std::size_t row_bytes(std::uint32_t n_vocab) {
  return kRowHeaderBytes + std::size_t{n_vocab} * sizeof(std::uint16_t);
}

std::size_t file_bytes(const LogitsHeader& h) {
  return kHeaderBytes + h.n_tokens() * sizeof(TokenId) + h.n_rows() * row_bytes(h.n_vocab);
}

/// What is wrong with a header, or nothing.
std::string find_fault(const LogitsHeader& h) {
  if (h.n_vocab < 1 || h.n_vocab > kMaxVocab) {
    return fmt::format("a vocabulary of {} tokens (1 to {} are possible)", h.n_vocab, kMaxVocab);
  }
  if (h.window < 2 || h.window > kMaxWindow) {
    return fmt::format("windows of {} tokens (2 to {} are possible)", h.window, kMaxWindow);
  }
  if (h.first_scored < 1 || h.first_scored >= h.window) {
    return fmt::format("windows of {} tokens scored from token {} on", h.window, h.first_scored);
  }
  if (h.n_windows < 1 || h.n_windows > kMaxTokens / h.window) {
    return fmt::format("{} windows of {} tokens (at most {} tokens are possible)", h.n_windows,
                       h.window, kMaxTokens);
  }
  return "";
}

}  // namespace

void RoundedRow::assign(std::span<const float> logits) {
  float most = -std::numeric_limits<float>::infinity();
  float least = std::numeric_limits<float>::infinity();
  bool all_finite = true;
  for (const float value : logits) {
    if (!std::isfinite(value)) {
      all_finite = false;
      continue;
    }
    most = std::max(most, value);
    least = std::min(least, value);
  }
  if (!std::isfinite(most)) {
    throw FormatError("the model computes no finite logit; look at it with 'foretoken inspect'");
  }
  double sum = 0.0;
  for (const float value : logits) {
    if (std::isfinite(value)) sum += std::exp(static_cast<double>(value) - most);
  }
  top = static_cast<float>(-std::log(sum));
  // The lowest code stands for minus infinity where there is one, so it has to be far away.
  const double spread = static_cast<double>(most) - static_cast<double>(least);
  const double range = all_finite ? std::min(spread, kRange) : kRange;
  step = static_cast<float>(range / kMaxCode);
  codes.resize(logits.size());
  for (std::size_t i = 0; i < logits.size(); ++i) {
    double code = kMaxCode;
    if (std::isfinite(logits[i])) {
      const double below = static_cast<double>(most) - logits[i];
      code = below > 0.0 ? std::min(kMaxCode, std::round(below / static_cast<double>(step))) : 0.0;
    }
    codes[i] = static_cast<std::uint16_t>(code);
  }
}

void RoundedRow::decode(std::vector<double>& out) const {
  out.resize(codes.size());
  double sum = 0.0;
  for (std::size_t i = 0; i < codes.size(); ++i) {
    out[i] = -static_cast<double>(step) * codes[i];
    sum += std::exp(out[i]);
  }
  const double norm = std::log(sum);
  for (double& value : out) value -= norm;
}

std::uint32_t RoundedRow::check() const {
  std::uint64_t hash = 0xCBF29CE484222325U;
  const auto add = [&](std::uint32_t word) { hash = (hash ^ word) * 0x100000001B3U; };
  add(std::bit_cast<std::uint32_t>(top));
  add(std::bit_cast<std::uint32_t>(step));
  for (std::size_t i = 0; i < codes.size(); i += 2) {
    const std::uint32_t high = i + 1 < codes.size() ? codes[i + 1] : 0U;
    add(std::uint32_t{codes[i]} | high << 16);
  }
  return static_cast<std::uint32_t>(hash ^ (hash >> 32));
}

LogitsWriter::LogitsWriter(const std::string& path, const LogitsHeader& header,
                           std::span<const TokenId> tokens)
    : file_(path) {
  const std::string fault = find_fault(header);
  if (!fault.empty()) throw RequestError(fmt::format("cannot save logits: {}", fault));
  if (tokens.size() != header.n_tokens()) {
    throw RequestError(fmt::format("cannot save logits: {} tokens where {} windows of {} need {}",
                                   tokens.size(), header.n_windows, header.window,
                                   header.n_tokens()));
  }
  file_.reserve(file_bytes(header));
  const std::uint32_t words[] = {
      kVersion, header.n_vocab, header.window, header.first_scored, header.n_windows, 0};
  file_.write(std::as_bytes(std::span(kMagic)));
  file_.write(std::as_bytes(std::span(words)));
  file_.write(std::as_bytes(tokens));
  bytes_.resize(row_bytes(header.n_vocab));
}

void LogitsWriter::write(std::span<const float> logits) {
  row_.assign(logits);
  const std::uint32_t check = row_.check();
  std::memcpy(bytes_.data(), &row_.top, sizeof(float));
  std::memcpy(bytes_.data() + 4, &row_.step, sizeof(float));
  std::memcpy(bytes_.data() + 8, &check, sizeof(check));
  std::memcpy(bytes_.data() + kRowHeaderBytes, row_.codes.data(),
              row_.codes.size() * sizeof(std::uint16_t));
  file_.write(bytes_);
}

void LogitsWriter::finish() { file_.commit(); }

LogitsFile LogitsFile::open(const std::string& path) {
  LogitsFile out;
  out.name_ = printable(path, path.size());
  out.mapping_ = MappedFile(path);
  out.bytes_ = out.mapping_.bytes();
  out.parse();
  return out;
}

LogitsFile LogitsFile::from_memory(std::span<const std::byte> bytes, const std::string& name) {
  LogitsFile out;
  out.name_ = name;
  out.bytes_ = bytes;
  out.parse();
  return out;
}

void LogitsFile::parse() {
  ByteCursor cursor(bytes_, name_);
  const bool known = bytes_.size() >= kMagic.size() &&
                     std::memcmp(bytes_.data(), kMagic.data(), kMagic.size()) == 0;
  if (!known) {
    throw FormatError(
        fmt::format("{}: not a file of logits (it does not begin with {}); make one "
                    "with 'foretoken eval kld --save-logits'",
                    name_, kMagic));
  }
  static_cast<void>(cursor.read_bytes(kMagic.size(), "the mark"));
  const auto version = cursor.read<std::uint32_t>("the version");
  if (version != kVersion) {
    throw FormatError(
        fmt::format("{}: a file of logits of version {}, but this program reads "
                    "version {}; save the logits again",
                    name_, version, kVersion));
  }
  header_.n_vocab = cursor.read<std::uint32_t>("n_vocab");
  header_.window = cursor.read<std::uint32_t>("window");
  header_.first_scored = cursor.read<std::uint32_t>("first_scored");
  header_.n_windows = cursor.read<std::uint32_t>("n_windows");
  const auto reserved = cursor.read<std::uint32_t>("the reserved word");
  std::string fault = find_fault(header_);
  if (fault.empty() && reserved != 0) fault = fmt::format("a reserved word of {}", reserved);
  if (!fault.empty()) {
    throw FormatError(fmt::format("{}: the header tells of {}; the file is damaged", name_, fault));
  }
  if (bytes_.size() != file_bytes(header_)) {
    throw FormatError(
        fmt::format("{}: {} bytes long where its header asks for {}; the file is cut "
                    "short or damaged, save the logits again",
                    name_, bytes_.size(), file_bytes(header_)));
  }
  const auto tokens = cursor.read_bytes(header_.n_tokens() * sizeof(TokenId), "the tokens");
  tokens_.resize(header_.n_tokens());
  std::memcpy(tokens_.data(), tokens.data(), tokens.size());
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    if (tokens_[i] >= 0 && static_cast<std::uint32_t>(tokens_[i]) < header_.n_vocab) continue;
    throw FormatError(
        fmt::format("{}: token {} is {}, outside a vocabulary of {}; the file is "
                    "damaged",
                    name_, i, tokens_[i], header_.n_vocab));
  }
  first_row_ = cursor.position();
}

void LogitsFile::read_row(std::size_t index, RoundedRow& out) const {
  const std::size_t begin = first_row_ + index * row_bytes(header_.n_vocab);
  const std::byte* row = bytes_.data() + begin;
  out.top = load_le<float>(row);
  out.step = load_le<float>(row + 4);
  out.codes.resize(header_.n_vocab);
  std::memcpy(out.codes.data(), row + kRowHeaderBytes, out.codes.size() * sizeof(std::uint16_t));
  const bool sound = std::isfinite(out.top) && out.top <= 0.0F && std::isfinite(out.step) &&
                     out.step >= 0.0F &&
                     static_cast<double>(out.step) * kMaxCode <= RoundedRow::kRange * 1.0001 &&
                     load_le<std::uint32_t>(row + 8) == out.check();
  if (!sound) {
    throw FormatError(fmt::format("{}: offset {}: row {} is damaged; save the logits again", name_,
                                  begin, index));
  }
}

}  // namespace foretoken::eval
