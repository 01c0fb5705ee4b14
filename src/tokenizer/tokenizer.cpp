#include "tokenizer/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <mutex>

#include "base/error.h"
#include "tokenizer/added_tokens.h"
#include "tokenizer/bpe.h"
#include "tokenizer/gguf_vocabulary.h"
#include "tokenizer/hf_tokenizer_json.h"
#include "tokenizer/nfc.h"
#include "tokenizer/pretokenize.h"
#include "tokenizer/token_table.h"
#include "tokenizer/utf8.h"
#include "tokenizer/vocabulary.h"
#include "tokenizer/word_cache.h"

namespace foretoken::tokenizer {
namespace {

constexpr std::size_t kMaxTextBytes = std::size_t{1} << 30;

// Names that end a turn or a document in this family (docs/tokenizer.md, "End of generation").
constexpr std::array<std::string_view, 5> kEndNames = {"<|im_end|>", "<|endoftext|>", "<|fim_pad|>",
                                                       "<|repo_name|>", "<|file_sep|>"};

/// Working memory of one encode() call.
struct Scratch {
  explicit Scratch(const PreTokenizer& pre_tokenizer) : matcher(pre_tokenizer) {}

  PreTokenizer::Matcher matcher;
  WordCache words;
};

/// Lends scratch memory, one per concurrent call, and keeps it (with the words it has learnt) for
/// the next.
class ScratchPool {
 public:
  std::unique_ptr<Scratch> take(const PreTokenizer& pre_tokenizer) {
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        auto scratch = std::move(idle_.back());
        idle_.pop_back();
        return scratch;
      }
    }
    return std::make_unique<Scratch>(pre_tokenizer);
  }
  void give_back(std::unique_ptr<Scratch> scratch) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(scratch));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Scratch>> idle_;
};

std::size_t end_of_ascii(std::string_view text, std::size_t pos) {
  while (pos + 8 <= text.size()) {
    std::uint64_t word;
    std::memcpy(&word, text.data() + pos, sizeof word);
    if ((word & 0x8080808080808080u) != 0) break;
    pos += 8;
  }
  while (pos < text.size() && static_cast<unsigned char>(text[pos]) < 0x80) ++pos;
  return pos;
}

}  // namespace

struct Tokenizer::Parts {
  explicit Parts(const Vocabulary& vocabulary)
      : tokens(vocabulary),
        bpe(vocabulary, tokens),
        added(tokens, vocabulary.file),
        pre_tokenizer(vocabulary.pre_tokenizer, vocabulary.file),
        normalize_nfc(vocabulary.normalize_nfc),
        end_ids(vocabulary.end_ids),
        chat_template(vocabulary.chat_template) {
    for (const auto name : kEndNames) {
      if (const auto id = added.find_exact(name)) end_ids.push_back(*id);
    }
  }

  std::vector<TokenId> encode(std::string_view text, std::span<const TextRange> trusted) const;
  void encode_plain(std::string_view text, Scratch& scratch, std::vector<TokenId>& out) const;
  void encode_valid(std::string_view text, Scratch& scratch, std::vector<TokenId>& out) const;
  void encode_piece(std::string_view piece, Scratch& scratch, std::vector<TokenId>& out) const;
  TokenId check(TokenId id) const;

  TokenTable tokens;
  Bpe bpe;
  AddedTokens added;
  PreTokenizer pre_tokenizer;
  Nfc nfc;
  bool normalize_nfc;
  std::vector<TokenId> end_ids;
  std::optional<std::string> chat_template;
  mutable ScratchPool scratch_pool;
};

std::vector<TokenId> Tokenizer::Parts::encode(std::string_view text,
                                              std::span<const TextRange> trusted) const {
  if (text.size() > kMaxTextBytes) {
    throw RequestError(fmt::format("text of {} bytes; at most {} can be encoded at once",
                                   text.size(), kMaxTextBytes));
  }
  std::vector<TokenId> out;
  out.reserve(text.size() / 3 + 1);
  auto scratch = scratch_pool.take(pre_tokenizer);
  std::size_t pos = 0;
  while (const auto match = added.find(text, pos, trusted)) {
    encode_plain(text.substr(pos, match->range.begin - pos), *scratch, out);
    out.push_back(match->id);
    pos = match->range.end;
  }
  encode_plain(text.substr(pos), *scratch, out);
  scratch_pool.give_back(std::move(scratch));
  return out;
}

/// Text without added tokens: cuts it into stretches of valid UTF-8 and of invalid bytes.
void Tokenizer::Parts::encode_plain(std::string_view text, Scratch& scratch,
                                    std::vector<TokenId>& out) const {
  for (std::size_t pos = 0; pos < text.size();) {
    const std::size_t begin = pos;
    bool is_nfc = true;
    for (pos = end_of_ascii(text, pos); pos < text.size();) {
      const Utf8Step step = utf8_step(text, pos);
      if (!step.valid) break;
      is_nfc = is_nfc && nfc.is_inert(step.code);
      pos += step.length;
      if (pos < text.size() && static_cast<unsigned char>(text[pos]) < 0x80) {
        pos = end_of_ascii(text, pos);
      }
    }
    const std::string_view valid = text.substr(begin, pos - begin);
    if (is_nfc || !normalize_nfc) {
      encode_valid(valid, scratch, out);
    } else {
      encode_valid(nfc.normalize(valid), scratch, out);
    }
    const std::size_t invalid_begin = pos;
    while (pos < text.size()) {
      const Utf8Step step = utf8_step(text, pos);
      if (step.valid) break;
      pos += step.length;
    }
    if (pos > invalid_begin) {
      encode_piece(text.substr(invalid_begin, pos - invalid_begin), scratch, out);
    }
  }
}

void Tokenizer::Parts::encode_valid(std::string_view text, Scratch& scratch,
                                    std::vector<TokenId>& out) const {
  for (std::size_t pos = 0; pos < text.size();) {
    const std::size_t length = scratch.matcher.piece_length(text, pos);
    encode_piece(text.substr(pos, length), scratch, out);
    pos += length;
  }
}

void Tokenizer::Parts::encode_piece(std::string_view piece, Scratch& scratch,
                                    std::vector<TokenId>& out) const {
  if (piece.size() > WordCache::kMaxPieceBytes) return bpe.encode(piece, out);
  const WordCache::Key key(piece);
  const auto known = scratch.words.find(key);
  if (!known.empty()) {
    out.insert(out.end(), known.begin(), known.end());
    return;
  }
  const std::size_t n_before = out.size();
  bpe.encode(piece, out);
  const auto ids = std::span<const TokenId>(out).subspan(n_before);
  if (ids.size() <= WordCache::kMaxIds) scratch.words.store(key, ids);
}

TokenId Tokenizer::Parts::check(TokenId id) const {
  if (id < 0 || id >= tokens.size()) {
    throw RequestError(fmt::format("token id {} is outside the vocabulary; expected 0 to {}", id,
                                   tokens.size() - 1));
  }
  return id;
}

Tokenizer::Tokenizer(const Vocabulary& vocabulary)
    : parts_(std::make_unique<const Parts>(vocabulary)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::from_gguf(const gguf::File& file) {
  return Tokenizer(read_gguf_vocabulary(file));
}

Tokenizer Tokenizer::from_directory(const std::string& path) {
  return Tokenizer(read_hf_vocabulary(path));
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  const TextRange whole{0, text.size()};
  return parts_->encode(text, {&whole, options.parse_special ? std::size_t{1} : 0});
}

std::vector<TokenId> Tokenizer::encode(std::span<const Segment> segments) const {
  std::string text;
  std::vector<TextRange> trusted;
  for (const Segment& segment : segments) {
    const std::size_t begin = text.size();
    text += segment.text;
    if (!segment.trusted || segment.text.empty()) continue;
    if (!trusted.empty() && trusted.back().end == begin) {
      trusted.back().end = text.size();
    } else {
      trusted.push_back({begin, text.size()});
    }
  }
  return parts_->encode(text, trusted);
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool hide_control) const {
  StreamDecoder decoder(*this, hide_control);
  std::string text;
  for (const TokenId id : ids) text += decoder.push(id);
  return text + decoder.flush();
}

std::string_view Tokenizer::piece(TokenId id) const {
  return parts_->tokens.piece(parts_->check(id));
}

TokenKind Tokenizer::kind(TokenId id) const { return parts_->tokens.kind(parts_->check(id)); }

int Tokenizer::n_vocab() const { return parts_->tokens.size(); }

int Tokenizer::n_real_vocab() const { return parts_->tokens.n_real(); }

bool Tokenizer::is_end_of_generation(TokenId id) const {
  return std::ranges::find(parts_->end_ids, id) != parts_->end_ids.end();
}

std::optional<TokenId> Tokenizer::find_special(std::string_view text) const {
  return parts_->added.find_exact(text);
}

std::optional<std::string> Tokenizer::chat_template() const { return parts_->chat_template; }

}  // namespace foretoken::tokenizer
