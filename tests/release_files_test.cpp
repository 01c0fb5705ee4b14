// The whole way in one command: its files are those of the long way and, where they are beside the
// checkout, llama.cpp's, byte for byte; a stopped run is gone on with; what cannot work is refused
// before anything is written.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "release/manifest.h"
#include "release/release.h"
#include "tiny_model.h"
#include "toolchain.h"

namespace foretoken::tests {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

std::string tiny(const std::string& name) {
  return foretoken::testing::source_path("models/tiny/" + name);
}

release::ReleaseOptions options(const ScratchFolder& folder,
                                std::vector<std::string> types = {"BF16", "Q8_0", "Q4_K_M"}) {
  release::ReleaseOptions out;
  out.base = tiny("base");
  out.finetune = tiny("paw");
  out.out = folder / "out";
  out.name = "tiny-paw";
  out.types = std::move(types);
  return out;
}

release::ReleaseResult run(const release::ReleaseOptions& options,
                           const release::StepProgress& progress = {}) {
  return release::run_release(release::plan_release(options), {.n_threads = 2, .measure = false},
                              progress);
}

std::string refusal(const release::ReleaseOptions& options) {
  try {
    release::plan_release(options);
  } catch (const Error& error) {
    return error.what();
  }
  return "no refusal";
}

TEST(Release, MakesTheTinyModelsOfThisProject) {
  const ScratchFolder folder;
  run(options(folder, {"BF16", "Q4_K_M"}));
  for (const std::string name : {"tiny-paw-BF16.gguf", "tiny-paw-Q4_K_M.gguf"}) {
    EXPECT_TRUE(read_file(folder / "out/" + name) == read_file(tiny(name))) << name;
  }
}

TEST(Release, MakesTheFilesOfTheLongWay) {
  const ScratchFolder folder;
  run(options(folder));
  const std::string grafted = folder / "tiny-paw";
  const std::string bf16 = folder / "bf16.gguf";
  for (const Words& words : {graft_words(tiny("base"), tiny("paw"), grafted),
                             Words{"convert", grafted, "--outfile", bf16, "--outtype", "bf16",
                                   "--model-name", "tiny-paw"},
                             quantize_words(bf16, folder / "Q8_0", "Q8_0"),
                             quantize_words(bf16, folder / "Q4_K_M", "Q4_K_M"),
                             Words{"convert", tiny("base"), "--mmproj", "--outtype", "bf16",
                                   "--outfile", folder / "mmproj", "--model-name", "tiny-paw"}}) {
    const Outcome outcome = run_program(words);
    ASSERT_EQ(outcome.status, 0) << outcome.err;
  }
  EXPECT_TRUE(read_file(folder / "out/tiny-paw-BF16.gguf") == read_file(bf16));
  EXPECT_TRUE(read_file(folder / "out/tiny-paw-Q8_0.gguf") == read_file(folder / "Q8_0"));
  EXPECT_TRUE(read_file(folder / "out/tiny-paw-Q4_K_M.gguf") == read_file(folder / "Q4_K_M"));
  EXPECT_TRUE(read_file(folder / "out/mmproj-tiny-paw-BF16.gguf") == read_file(folder / "mmproj"));
}

// Made by llama.cpp's converter and quantizer from the same grafted checkpoint.
TEST(Release, EqualsLlamaCppsFilesByteForByte) {
  if (foretoken::testing::llama_made_file("graft-BF16.gguf").empty()) {
    GTEST_SKIP() << "llama.cpp's files are not beside this checkout";
  }
  const std::string checkpoints =
      fs::path(foretoken::testing::llama_made_file("graft-BF16.gguf")).parent_path().parent_path();
  const ScratchFolder folder;
  release::ReleaseOptions how = options(folder, {"F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K_M",
                                                 "Q4_K_M", "Q3_K_M", "Q2_K", "IQ4_XS", "IQ4_NL"});
  how.base = checkpoints + "/base";
  how.finetune = checkpoints + "/finetune";
  how.name = "Graft";
  run(how);
  for (const std::string& type : how.types) {
    const std::string theirs = foretoken::testing::llama_made_file("graft-" + type + ".gguf");
    ASSERT_FALSE(theirs.empty()) << type;
    EXPECT_TRUE(read_file(folder / "out/Graft-" + type + ".gguf") == read_file(theirs)) << type;
  }
}

TEST(Release, GoesOnAfterAStopAndMakesTheSameFiles) {
  const ScratchFolder whole;
  run(options(whole));
  const FolderContent expected = read_folder(whole / "out");
  const ScratchFolder folder;
  std::size_t latest_start = 0;  // bytes that were there when a run began to write
  int n_stops = 0;
  for (bool finished = false; !finished;) {
    int calls = 0;
    try {
      run(options(folder), [&](const std::string& step, std::size_t done, std::size_t) {
        if (++calls == 1 && step == "writing") latest_start = std::max(latest_start, done);
        return calls < 40;
      });
      finished = true;
    } catch (const Cancelled&) {
      ASSERT_LT(++n_stops, 1000);
      for (const auto& file : fs::directory_iterator(folder / "out")) {
        EXPECT_TRUE(file.path().filename() == ".foretoken-release" ||
                    read_file(file.path()) == expected.at(file.path().filename()))
            << file.path();
      }
    }
  }
  EXPECT_GT(n_stops, 2);
  EXPECT_GT(latest_start, std::size_t{10'000'000});  // nothing is begun from the front again
  EXPECT_EQ(read_folder(folder / "out"), expected);
}

TEST(Release, IsCompleteWhenRunAgainAndMendsWhatIsMissing) {
  const ScratchFolder folder;
  EXPECT_FALSE(run(options(folder)).was_complete);
  const FolderContent expected = read_folder(folder / "out");
  EXPECT_TRUE(run(options(folder)).was_complete);
  fs::remove(folder / "out/tiny-paw-Q8_0.gguf");
  EXPECT_FALSE(run(options(folder)).was_complete);
  EXPECT_EQ(read_folder(folder / "out"), expected);
}

TEST(Release, KeepsItsHandsOffOtherFiles) {
  const ScratchFolder folder;
  fs::create_directories(folder / "out");
  std::ofstream(folder / "out/tiny-paw-Q8_0.gguf") << "somebody's";
  EXPECT_THROW(run(options(folder)), RequestError);
  EXPECT_EQ(read_file(folder / "out/tiny-paw-Q8_0.gguf"), "somebody's");
  EXPECT_FALSE(fs::exists(folder / "out/tiny-paw-BF16.gguf"));
}

TEST(Release, KeepsItsHandsOffAReadmeOfSomebodyElse) {
  const ScratchFolder folder;
  fs::create_directories(folder / "out");
  std::ofstream(folder / "out/README.md") << "somebody's";
  EXPECT_THROW(run(options(folder, {"Q8_0"})), RequestError);
  EXPECT_EQ(read_file(folder / "out/README.md"), "somebody's");
  EXPECT_FALSE(fs::exists(folder / "out/tiny-paw-Q8_0.gguf"));
}

TEST(Release, LeavesACardAloneThatItsOwnerHasEdited) {
  const ScratchFolder folder;
  run(options(folder, {"Q8_0"}));
  std::ofstream(folder / "out/README.md") << "edited";
  EXPECT_TRUE(run(options(folder, {"Q8_0"})).was_complete);
  EXPECT_EQ(read_file(folder / "out/README.md"), "edited");
  fs::remove(folder / "out/README.md");
  EXPECT_TRUE(run(options(folder, {"Q8_0"})).was_complete);
  EXPECT_THAT(read_file(folder / "out/README.md"), HasSubstr("Q8_0"));
}

// Stopped while it hashes: all is written and the journal is full, but of a file that was removed
// then nothing is left, and it must not come back as zeros.
TEST(Release, WritesAgainWhatWasRemovedBetweenTwoRuns) {
  const ScratchFolder whole;
  run(options(whole, {"BF16", "Q8_0"}));
  const ScratchFolder folder;
  EXPECT_THROW(
      run(options(folder, {"BF16", "Q8_0"}),
          [](const std::string& step, std::size_t, std::size_t) { return step == "writing"; }),
      Cancelled);
  ASSERT_TRUE(fs::remove(folder / "out/tiny-paw-Q8_0.gguf"));
  run(options(folder, {"BF16", "Q8_0"}));
  EXPECT_TRUE(read_folder(folder / "out") == read_folder(whole / "out"));
}

TEST(Release, WritesAgainWhenAnUnfinishedFileWasRemoved) {
  const ScratchFolder whole;
  run(options(whole, {"Q8_0"}));
  const ScratchFolder folder;
  std::string message;
  try {
    run(options(folder, {"Q8_0"}),
        [](const std::string&, std::size_t done, std::size_t total) { return done < total / 2; });
  } catch (const Cancelled& cancelled) {
    message = cancelled.what();
  }
  EXPECT_THAT(message, HasSubstr("goes on from here"));
  ASSERT_TRUE(fs::remove(folder / "out/.foretoken-release/tiny-paw-Q8_0.gguf.part"));
  EXPECT_EQ(run(options(folder, {"Q8_0"})).n_resumed, 0U);
  EXPECT_TRUE(read_folder(folder / "out") == read_folder(whole / "out"));
}

TEST(Release, NamesNothingWhenTheWeightsChangeMeanwhile) {
  const ScratchFolder folder;
  fs::copy(tiny("paw"), folder / "paw");
  release::ReleaseOptions how = options(folder, {"Q8_0"});
  how.finetune = folder / "paw";
  const std::string weights = folder / "paw/model-00001-of-00002.safetensors";
  ASSERT_TRUE(fs::exists(weights));
  EXPECT_THROW(run(how,
                   [&](const std::string&, std::size_t, std::size_t) {
                     fs::last_write_time(weights,
                                         fs::file_time_type::clock::now() + std::chrono::hours(1));
                     return true;
                   }),
               IoError);
  EXPECT_FALSE(fs::exists(folder / "out/tiny-paw-Q8_0.gguf"));
  EXPECT_FALSE(run(how).was_complete);
  EXPECT_TRUE(fs::exists(folder / "out/tiny-paw-Q8_0.gguf"));
}

TEST(Release, IsAloneInItsFolder) {
  const ScratchFolder folder;
  fs::create_directories(folder / "out");
  const int fd = ::open((folder / "out").c_str(), O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(::flock(fd, LOCK_EX), 0);
  EXPECT_THROW(run(options(folder, {"Q8_0"})), RequestError);
  ::close(fd);
  EXPECT_FALSE(run(options(folder, {"Q8_0"})).was_complete);
}

// A limit on file sizes stands in for a full disk.
TEST(Release, KeepsNoRoomWhenThereIsNotEnough) {
  const ScratchFolder folder;
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const std::size_t small = fs::file_size(tiny("tiny-paw-Q4_K_M.gguf"));
    const rlimit limit{small + 1, small + 1};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      run(options(folder, {"Q4_K_M", "BF16"}));
    } catch (const IoError&) {
      ::_exit(42);
    } catch (...) {
    }
    ::_exit(1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 42);
  for (const auto& [name, content] : read_folder(folder / "out")) {
    EXPECT_LT(content.size(), 10'000U) << name;
  }
}

TEST(Release, FileNamesHaveNothingOfWhichShellsOrJsonTakeNotice) {
  const ScratchFolder folder;
  release::ReleaseOptions how = options(folder, {"Q8_0"});
  how.name = "Größe \xFF|$(x)`";
  const release::ReleasePlan plan = release::plan_release(how);
  EXPECT_EQ(fs::path(plan.files.at(0).path).filename(), "Größe-----x---Q8_0.gguf");
}

TEST(Release, OtherOptionsAreAnotherPlan) {
  const ScratchFolder folder;
  release::ReleaseOptions protect = options(folder);
  protect.protect_mtp = true;
  EXPECT_NE(release::plan_release(options(folder)).hash, release::plan_release(protect).hash);
  EXPECT_EQ(release::plan_release(options(folder)).hash,
            release::plan_release(options(folder)).hash);
}

TEST(Release, ProtectsTheHeadWhenAsked) {
  const ScratchFolder folder;
  release::ReleaseOptions how = options(folder, {"Q4_K_M"});
  how.protect_mtp = true;
  run(how);
  const gguf::File file = gguf::File::open(folder / "out/tiny-paw-Q4_K_M.gguf");
  EXPECT_EQ(file.require_tensor("blk.8.nextn.eh_proj.weight").type, quant::Type::Q8_0);
  EXPECT_EQ(file.require_tensor("blk.0.ssm_alpha.weight").type, quant::Type::Q8_0);
  EXPECT_EQ(file.require_tensor("blk.1.ffn_up.weight").type, quant::Type::Q4_K);
}

TEST(Release, RefusesWhatCannotWork) {
  const ScratchFolder folder;
  release::ReleaseOptions how = options(folder);
  how.finetune = how.base;
  EXPECT_THAT(refusal(how), HasSubstr("has an MTP head already"));
  how = options(folder);
  how.base = how.finetune;
  EXPECT_THAT(refusal(how), HasSubstr("MTP"));
  how = options(folder);
  how.finetune = tiny("tiny-paw-BF16.gguf");
  EXPECT_THAT(refusal(how), HasSubstr("checkpoint folders"));
  how = options(folder, {"Q4_K_M", "Q9_Z"});
  EXPECT_THAT(refusal(how), HasSubstr("'Q9_Z'"));
  how = options(folder, {"IQ2_XS"});
  EXPECT_THAT(refusal(how), HasSubstr("IQ2_XS"));
  how = options(folder);
  how.imatrix = tiny("README.md");
  EXPECT_THAT(refusal(how), HasSubstr("README.md"));
  EXPECT_FALSE(fs::exists(folder / "out"));
  how = options(folder);
  how.out = tiny("README.md");
  EXPECT_THAT(refusal(how), HasSubstr("names a folder"));
  how = options(folder);
  how.out = tiny("paw/../paw");
  EXPECT_THAT(refusal(how), HasSubstr("is one of the checkpoints"));
}

TEST(Release, MeasuresAndSaysSoInTheCard) {
  const ScratchFolder folder;
  release::ReleaseOptions how = options(folder, {"Q4_K_M"});
  how.vision = false;
  const release::ReleasePlan plan = release::plan_release(how);
  const release::ReleaseResult result = release::run_release(plan, {.n_threads = 2});
  ASSERT_EQ(result.card.files.size(), 1U);
  const release::CardMeasurement& measured = result.card.files[0].measured;
  ASSERT_TRUE(measured.perplexity);
  ASSERT_EQ(measured.acceptance.size(), 3U);
  EXPECT_GT(measured.acceptance[0].accepted, measured.acceptance[2].accepted);
  EXPECT_GT(measured.acceptance[2].tokens_per_round, 1.0);
  const std::string card = read_file(folder / "out/README.md");
  EXPECT_THAT(card, HasSubstr("| Q4_K_M |"));
  EXPECT_THAT(card, HasSubstr(result.card.files[0].sha256));
  EXPECT_THAT(card, HasSubstr(fmt::format("{:.1f} %", measured.acceptance[0].accepted * 100.0)));
  // The figures are kept: a second run measures nothing.
  EXPECT_TRUE(release::run_release(plan, {.n_threads = 2}).was_complete);
}

}  // namespace
}  // namespace foretoken::tests
