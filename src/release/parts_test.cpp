// Hashes, the journal, the manifest and the card, each alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>

#include "base/error.h"
#include "release/journal.h"
#include "release/manifest.h"
#include "release/model_card.h"
#include "release/sha256.h"

namespace foretoken::release {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Parts : public ::testing::Test {
 protected:
  Parts() : path_(::testing::TempDir() + "foretoken-release-" + std::to_string(::getpid())) {}
  ~Parts() override { std::filesystem::remove(path_); }
  std::string path_;
};

// FIPS 180-2, appendix B.
TEST_F(Parts, Sha256EqualsThePublishedExamples) {
  EXPECT_EQ(to_hex(sha256("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  std::ofstream(path_) << "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
  EXPECT_EQ(to_hex(sha256_of_file(path_)),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_THROW(sha256_of_file(path_ + ".no"), IoError);
  EXPECT_THROW(sha256_of_file(path_, [](std::size_t) { return false; }), Cancelled);
}

TEST_F(Parts, AJournalIsGoneOnWithForTheSamePlanOnly) {
  const Sha256 plan = sha256("plan");
  {
    Journal journal(path_, plan, 5);
    EXPECT_FALSE(journal.resumed());
    journal.mark_done(3);
    journal.mark_done(0);
  }
  {
    const Journal journal(path_, plan, 5);
    EXPECT_TRUE(journal.resumed());
    EXPECT_EQ(journal.n_done(), 2U);
    EXPECT_TRUE(journal.is_done(3));
    EXPECT_FALSE(journal.is_done(1));
  }
  const Journal other(path_, sha256("another"), 5);
  EXPECT_FALSE(other.resumed());
  EXPECT_EQ(other.n_done(), 0U);
}

TEST_F(Parts, AJournalIgnoresHalfARecordAndWritesOnBehindTheWholeOnes) {
  const Sha256 plan = sha256("plan");
  { Journal(path_, plan, 5).mark_done(2); }
  std::ofstream(path_, std::ios::app | std::ios::binary) << "\x04";
  {
    Journal journal(path_, plan, 5);
    EXPECT_EQ(journal.n_done(), 1U);
    journal.mark_done(4);
  }
  const Journal journal(path_, plan, 5);
  EXPECT_TRUE(journal.is_done(2));
  EXPECT_TRUE(journal.is_done(4));
  EXPECT_EQ(journal.n_done(), 2U);
}

TEST_F(Parts, AJournalOfBeforeTheLastStartOfTheSystemCountsForNothing) {
  const Sha256 plan = sha256("plan");
  { Journal(path_, plan, 5).mark_done(2); }
  std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(40);  // inside the boot id
  file << "#";
  file.close();
  EXPECT_FALSE(Journal(path_, plan, 5).resumed());
}

// Without /proc there is no boot id.
TEST_F(Parts, AJournalCountsForNothingWhereTheSystemDoesNotSayWhenItStarted) {
  constexpr int kImpossibleHere = 77;
  std::filesystem::create_directory(path_);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::chroot(path_.c_str()) != 0 &&
        (::unshare(CLONE_NEWUSER) != 0 || ::chroot(path_.c_str()) != 0)) {
      ::_exit(kImpossibleHere);
    }
    const Sha256 plan{};
    { Journal("/journal", plan, 5).mark_done(2); }
    ::_exit(Journal("/journal", plan, 5).resumed() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  std::filesystem::remove(path_ + "/journal");
  if (WEXITSTATUS(status) == kImpossibleHere) GTEST_SKIP() << "the root folder cannot be changed";
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST_F(Parts, AManifestKeepsFiguresThatAreNoNumbers) {
  Manifest manifest;
  manifest.plan = "abc";
  ManifestFile& file = manifest.files["x.gguf"];
  file.is_measured = true;
  file.measured.perplexity = std::numeric_limits<double>::quiet_NaN();
  write_manifest(path_, manifest);
  const Manifest read = read_manifest(path_);
  EXPECT_EQ(read.plan, "abc");
  EXPECT_TRUE(std::isnan(*read.files.at("x.gguf").measured.perplexity));
}

TEST_F(Parts, AManifestSurvivesWritingAndReading) {
  Manifest manifest;
  manifest.plan = "abc";
  manifest.written = true;
  manifest.files["x.gguf"] = {
      .size_bytes = 7,
      .sha256 = "00",
      .is_measured = true,
      .measured = {.perplexity = 3.25, .perplexity_error = 0.5, .acceptance = {{2, 0.5, 2.0}}},
      .not_measured = ""};
  write_manifest(path_, manifest);
  const Manifest read = read_manifest(path_);
  EXPECT_EQ(read.plan, "abc");
  EXPECT_TRUE(read.written);
  EXPECT_FALSE(read.finished);
  const ManifestFile& file = read.files.at("x.gguf");
  EXPECT_EQ(file.size_bytes, 7U);
  EXPECT_TRUE(file.is_measured);
  EXPECT_EQ(*file.measured.perplexity, 3.25);
  EXPECT_EQ(file.measured.acceptance.at(0).depth, 2);
}

TEST_F(Parts, WhatIsNoManifestCountsAsNone) {
  for (const char* text : {"", "[]", "{", "{\"plan\": 3}", "{\"plan\": \"x\", \"files\": []}"}) {
    EXPECT_EQ(parse_manifest(text).plan, "") << text;
  }
  EXPECT_EQ(read_manifest(path_).plan, "");
}

TEST(ModelCard, NamesCannotBreakOutOfTheirPlaces) {
  Card card;
  card.model = "evil | name\n---\n<script>";
  card.license = "a\"b\nbase_model: x";
  const std::string text = render_model_card(card);
  EXPECT_THAT(text, HasSubstr("evil \\| name---\\<script\\>"));
  EXPECT_THAT(text, HasSubstr("license: \"a\\\"bbase_model: x\"\n"));
}

TEST(ModelCard, LeavesOutATableWithoutFigures) {
  Card card;
  card.model = "m";
  card.files.push_back({.name = "m-Q8_0.gguf",
                        .type = "Q8_0",
                        .sha256 = "",
                        .measured = {},
                        .not_measured = "not measured"});
  EXPECT_THAT(render_model_card(card), Not(HasSubstr("## Measured")));
  card.files.push_back(
      {.name = "m-Q6_K.gguf", .type = "Q6_K", .sha256 = "", .measured = {}, .not_measured = ""});
  card.files.back().measured = {.perplexity = 12.5, .acceptance = {{1, 0.75, 1.75}}};
  const std::string text = render_model_card(card);
  EXPECT_THAT(text, HasSubstr("| Q8_0 | not measured | |"));
  EXPECT_THAT(text, HasSubstr("75.0 % (1.75 tokens)"));
}

}  // namespace
}  // namespace foretoken::release
