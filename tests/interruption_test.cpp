// The toolchain when it is killed, interrupted or runs out of disk: whatever happens, a name holds
// a whole file or nothing, and the same command run again does the work.
#include <gmock/gmock.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <random>
#include <thread>

#include "sanitized.h"
#include "toolchain.h"

namespace foretoken::tests {
namespace {

using std::chrono::duration;
using std::chrono::steady_clock;
using testing::HasSubstr;

constexpr int kKills = kSanitized ? 4 : 20;

/// Inputs of all jobs, made once.
const TinyCheckpoints& checkpoints() {
  static const TinyCheckpoints made;
  return made;
}

std::string tiny(const std::string& name) { return FORETOKEN_SOURCE_DIR "/models/tiny/" + name; }

/// A command that makes files in the folder it is given.
struct Job {
  const char* name;
  std::function<Words(const std::string& folder)> words;
  /// Its files appear one after another, and this one says how far it is.
  const char* diary = nullptr;
};

std::ostream& operator<<(std::ostream& out, const Job& job) { return out << job.name; }

/// Unfinished work, which some commands keep or clear on the next run, has a hidden name.
bool is_hidden(const std::string& path) {
  return path.starts_with('.') || path.find("/.") != std::string::npos;
}

std::ptrdiff_t n_visible(const ScratchFolder& folder) {
  const FolderContent content = read_folder(folder.path());
  return std::ranges::count_if(content, [](const auto& file) { return !is_hidden(file.first); });
}

class Interruption : public testing::TestWithParam<Job> {
 protected:
  void SetUp() override {
    const auto start = steady_clock::now();
    const Outcome outcome = run_program(words(whole_folder_));
    seconds_ = duration<double>(steady_clock::now() - start).count();
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    whole_ = read_folder(whole_folder_.path());
    ASSERT_FALSE(whole_.empty());
  }

  Words words(const ScratchFolder& folder) const { return GetParam().words(folder.path()); }
  /// How long the undisturbed job took.
  double seconds() const { return seconds_; }
  const FolderContent& whole() const { return whole_; }

  /// Starts the job in `folder`, sends `signal` after `wait_s`, and returns how it ended.
  Outcome disturb(const ScratchFolder& folder, int signal, double wait_s) const {
    RunningProgram program(words(folder));
    std::this_thread::sleep_for(duration<double>(wait_s));
    program.send(signal);
    return program.wait();
  }

  /// Checks that each visible file is one that the job makes, with all its bytes, and (unless the
  /// job keeps a diary) that they are all there or none is.
  void expect_whole_files(const ScratchFolder& folder) const {
    for (const auto& [path, bytes] : read_folder(folder.path())) {
      if (is_hidden(path) || is_diary(path)) continue;
      // Between its last byte and its name a file is linked as "NAME.part-...".
      const std::string name = path.substr(0, path.find(".part-"));
      const auto made = whole_.find(name);
      ASSERT_NE(made, whole_.end()) << "left behind: " << path;
      EXPECT_TRUE(bytes == made->second)
          << path << " has " << bytes.size() << " bytes of " << made->second.size();
    }
    if (GetParam().diary == nullptr && n_visible(folder) > 0) {
      EXPECT_EQ(n_visible(folder), std::ssize(whole_));
    }
  }

  void expect_same_as_whole(const ScratchFolder& folder) const {
    const FolderContent content = read_folder(folder.path());
    EXPECT_EQ(content.size(), whole_.size());
    for (const auto& [path, bytes] : whole_) {
      const auto found = content.find(path);
      ASSERT_NE(found, content.end()) << path << " is missing";
      EXPECT_TRUE(found->second == bytes) << path << " differs";
    }
  }

 private:
  static bool is_diary(const std::string& path) {
    return GetParam().diary != nullptr && path.ends_with(GetParam().diary);
  }

  ScratchFolder whole_folder_;
  FolderContent whole_;
  double seconds_ = 0.0;
};

TEST_P(Interruption, KilledAtAnyMomentLeavesWholeFilesOrNone) {
  const unsigned seed = static_cast<unsigned>(GTEST_FLAG_GET(random_seed));
  SCOPED_TRACE(fmt::format("moments drawn with --gtest_random_seed={}", seed));
  std::mt19937 random(seed);
  // Moments up to a little after the end; where that is changes with the load of the machine.
  double span = seconds();
  int n_killed = 0;
  std::unique_ptr<ScratchFolder> unfinished;
  for (int i = 0; i < kKills; ++i) {
    auto folder = std::make_unique<ScratchFolder>();
    const double moment = std::uniform_real_distribution<double>(0.0, span)(random);
    const bool killed = disturb(*folder, SIGKILL, moment).status == 128 + SIGKILL;
    expect_whole_files(*folder);
    span *= killed ? 1.1 : 0.8;
    if (!killed) continue;
    ++n_killed;
    if (n_visible(*folder) == 0) unfinished = std::move(folder);
  }
  // Fewer killed means that the moments came too late to show anything.
  EXPECT_GE(n_killed, kKills / 4);
  // A few moments can all fall behind the last write: then ever earlier ones.
  for (double moment = span / 2; unfinished == nullptr && moment > 1e-4; moment /= 2) {
    auto folder = std::make_unique<ScratchFolder>();
    const bool killed = disturb(*folder, SIGKILL, moment).status == 128 + SIGKILL;
    if (killed && n_visible(*folder) == 0) unfinished = std::move(folder);
  }
  ASSERT_NE(unfinished, nullptr);
  const Outcome again = run_program(words(*unfinished));
  EXPECT_EQ(again.status, 0) << again.err;
  expect_same_as_whole(*unfinished);
}

TEST_P(Interruption, CtrlCGivesStatus130AndLeavesNothingHalfDone) {
  int n_stopped = 0;
  for (int i = 0; i < 24 && n_stopped < 3; ++i) {
    const ScratchFolder folder;
    const Outcome outcome = disturb(folder, SIGINT, seconds() * (i % 12) / 12.0);
    expect_whole_files(folder);
    if (outcome.status == 0) continue;  // it was done already
    EXPECT_EQ(outcome.status, 130) << outcome.err;
    ++n_stopped;
  }
  EXPECT_GT(n_stopped, 0);
}

TEST_P(Interruption, AFullDiskIsStatus1AndOneSentence) {
  std::size_t largest = 0;
  for (const auto& [path, bytes] : whole()) largest = std::max(largest, bytes.size());
  for (const std::size_t limit : {std::size_t{4096}, largest / 2, largest - 1}) {
    const ScratchFolder folder;
    const Outcome outcome = RunningProgram(words(folder), {.max_file_bytes = limit}).wait();
    EXPECT_EQ(outcome.status, 1) << "limit " << limit;
    EXPECT_TRUE(is_one_sentence(outcome.err)) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(folder.path()));
    EXPECT_THAT(outcome.err, HasSubstr("File too large"));
    expect_whole_files(folder);
  }
}

TEST_P(Interruption, AnOutputThatCannotBeMadeIsStatus1AndOneSentence) {
  const ScratchFolder folder;
  std::ofstream(folder / "file") << "not a folder";
  const Outcome outcome = run_program(GetParam().words(folder / "file/in"));
  EXPECT_EQ(outcome.status, 1);
  EXPECT_TRUE(is_one_sentence(outcome.err)) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr(folder / "file"));
}

INSTANTIATE_TEST_SUITE_P(
    Jobs, Interruption,
    testing::Values(
        Job{"Graft",
            [](const std::string& folder) {
              return graft_words(checkpoints().base, checkpoints().finetune, folder + "/grafted");
            }},
        Job{"GraftIntoGguf",
            [](const std::string& folder) {
              Words words = graft_words(tiny("tiny-base-BF16.gguf"), tiny("tiny-paw-Q4_K_M.gguf"),
                                        folder + "/out.gguf");
              words.emplace_back("--replace");
              return words;
            }},
        Job{"Convert",
            [](const std::string& folder) {
              return convert_words(checkpoints().base, folder + "/out.gguf");
            }},
        Job{"Release",
            [](const std::string& folder) {
              return release_words(checkpoints().base, checkpoints().finetune, folder + "/set");
            },
            "release.json"},
        Job{"Quantize",
            [](const std::string& folder) {
              return quantize_words(tiny("tiny-paw-BF16.gguf"), folder + "/out.gguf", "Q4_K_M");
            }}),
    [](const auto& tested) { return std::string(tested.param.name); });

}  // namespace
}  // namespace foretoken::tests
