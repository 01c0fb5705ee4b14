// The chat as a person at a terminal meets it: typing, answers, keys, history.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "terminal.h"

namespace foretoken::tests {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::string kPaw = FORETOKEN_SOURCE_DIR "/models/tiny/tiny-paw-BF16.gguf";
constexpr const char* kPrompt = "> ";
constexpr const char* kCtrlC = "\x03";
constexpr const char* kCtrlD = "\x04";

class ChatTerminal : public testing::Test {
 protected:
  ChatTerminal() {
    std::string folder = testing::TempDir() + "foretoken-chat-XXXXXX";
    if (::mkdtemp(folder.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    folder_ = folder;
  }
  ~ChatTerminal() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path history() const { return folder_ / "state" / "history"; }

  std::vector<std::string> chat(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> out = {
        "run", "-m", kPaw, "-t", "2", "--temp", "0", "--history-file", history().string()};
    out.insert(out.end(), more.begin(), more.end());
    return out;
  }

  std::filesystem::path folder_;
};

TEST_F(ChatTerminal, AnswersWithFaintThinkingAndLeaves) {
  TerminalProgram program(chat());
  ASSERT_TRUE(program.wait_for("Ctrl-D leaves")) << program.screen();
  ASSERT_TRUE(program.wait_for(kPrompt)) << program.screen();
  program.type("Who are you?\r");
  ASSERT_TRUE(program.wait_for("\x1B[2mLet me see.")) << program.screen();
  ASSERT_TRUE(program.wait_for("\x1B[0m")) << program.screen();
  ASSERT_TRUE(program.wait_for("I am Paw, a small agent that likes tools.")) << program.screen();
  ASSERT_TRUE(program.wait_for("[ prompt 14 tokens")) << program.screen();
  ASSERT_TRUE(program.wait_for(kPrompt)) << program.screen();
  program.type("/exit\r");
  EXPECT_EQ(program.wait_for_end(), 0) << program.screen();
  EXPECT_THAT(program.screen(), Not(HasSubstr("<think>")));
}

TEST_F(ChatTerminal, ReadsOnlyWhatIsNewAndAnswersTheSameAgain) {
  TerminalProgram program(chat());
  ASSERT_TRUE(program.wait_for(kPrompt));
  program.type("Who are you?\r");
  ASSERT_TRUE(program.wait_for("likes tools."));
  ASSERT_TRUE(program.wait_for(kPrompt));
  program.type("What is the capital of France?\r");
  ASSERT_TRUE(program.wait_for("The capital of France is Paris.")) << program.screen();
  ASSERT_TRUE(program.wait_for("[ prompt 37 of 46 tokens")) << program.screen();
  ASSERT_TRUE(program.wait_for(kPrompt));
  program.type("/regen\r");
  ASSERT_TRUE(program.wait_for("The capital of France is Paris.")) << program.screen();
  ASSERT_TRUE(program.wait_for("of 46 tokens")) << program.screen();
  ASSERT_TRUE(program.wait_for(kPrompt));
  program.type("/stats\r");
  ASSERT_TRUE(program.wait_for("turns 2;")) << program.screen();
}

TEST_F(ChatTerminal, ControlCStopsTheAnswerAndNotTheProgram) {
  TerminalProgram program(chat({"--ignore-eos"}));
  ASSERT_TRUE(program.wait_for(kPrompt));
  program.type("Who are you?\r");
  ASSERT_TRUE(program.wait_for("likes tools.")) << program.screen();
  program.type(kCtrlC);
  ASSERT_TRUE(program.wait_for("[ prompt 14 tokens")) << program.screen();
  ASSERT_TRUE(program.wait_for(kPrompt)) << program.screen();
  program.type(kCtrlD);
  EXPECT_EQ(program.wait_for_end(), 0);
}

TEST_F(ChatTerminal, ControlCDiscardsALineAndLeavesAnEmptyPrompt) {
  TerminalProgram program(chat());
  ASSERT_TRUE(program.wait_for(kPrompt));
  program.type("half a thought");
  ASSERT_TRUE(program.wait_for("thought"));
  program.type(kCtrlC);
  ASSERT_TRUE(program.wait_for(kPrompt)) << program.screen();
  program.type(kCtrlC);
  EXPECT_EQ(program.wait_for_end(), 0) << program.screen();
  EXPECT_THAT(program.screen(), Not(HasSubstr("[ prompt")));
}

TEST_F(ChatTerminal, ControlCEndsASingleAnswerWith130) {
  TerminalProgram program(chat({"--ignore-eos", "-p", "Who are you?"}));
  ASSERT_TRUE(program.wait_for("likes tools.")) << program.screen();
  program.type(kCtrlC);
  EXPECT_EQ(program.wait_for_end(), 130) << program.screen();
}

TEST_F(ChatTerminal, KeepsWhatWasTypedForItsOwnerOnly) {
  {
    TerminalProgram program(chat({"--no-think"}));
    ASSERT_TRUE(program.wait_for(kPrompt));
    program.type("Gr\xC3\xBC\xC3\x9F dich\r");
    ASSERT_TRUE(program.wait_for("[ prompt"));
    ASSERT_TRUE(program.wait_for(kPrompt));
    program.type(kCtrlD);
    ASSERT_EQ(program.wait_for_end(), 0);
  }
  struct stat info = {};
  ASSERT_EQ(::stat(history().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  TerminalProgram program(chat({"--no-think"}));
  ASSERT_TRUE(program.wait_for(kPrompt));
  program.type("\x1B[A");  // the up key
  EXPECT_TRUE(program.wait_for("Gr\xC3\xBC\xC3\x9F dich")) << program.screen();
}

TEST_F(ChatTerminal, NoHistoryLeavesNoFile) {
  TerminalProgram program(chat({"--no-history"}));
  ASSERT_TRUE(program.wait_for(kPrompt));
  program.type("/help\r");
  ASSERT_TRUE(program.wait_for("Ctrl-C stops an answer."));
  ASSERT_TRUE(program.wait_for(kPrompt));
  program.type(kCtrlD);
  EXPECT_EQ(program.wait_for_end(), 0);
  EXPECT_FALSE(std::filesystem::exists(history()));
}

TEST_F(ChatTerminal, PastedLinesAndContinuedLinesAreOneQuestion) {
  TerminalProgram program(chat({"--no-think"}));
  ASSERT_TRUE(program.wait_for(kPrompt));
  program.type("\x1B[200~first line\rsecond line\r\x1B[201~\r");
  ASSERT_TRUE(program.wait_for("[ prompt")) << program.screen();
  ASSERT_TRUE(program.wait_for(kPrompt));
  program.type("one \\\r");
  ASSERT_TRUE(program.wait_for(". "));
  program.type("two\r");
  ASSERT_TRUE(program.wait_for("[ prompt")) << program.screen();
  ASSERT_TRUE(program.wait_for(kPrompt));
  program.type("/stats\r");
  EXPECT_TRUE(program.wait_for("turns 2;")) << program.screen();
}

TEST_F(ChatTerminal, AFullContextIsAMessageAndTheChatGoesOn) {
  TerminalProgram program(chat({"-c", "40", "--no-think"}));
  ASSERT_TRUE(program.wait_for(kPrompt));
  program.type(
      "Tell me a story about a fox, a bear, a wolf, a goat, a duck and a very old owl "
      "who live in the same wood and do not like each other at all\r");
  ASSERT_TRUE(program.wait_for("the context holds 40")) << program.screen();
  ASSERT_TRUE(program.wait_for(kPrompt));
  program.type("Hi\r");
  EXPECT_TRUE(program.wait_for("| answer")) << program.screen();
}

TEST_F(ChatTerminal, ACommandThatIsNoneIsSaid) {
  TerminalProgram program(chat());
  ASSERT_TRUE(program.wait_for(kPrompt));
  program.type("/nope\r");
  EXPECT_TRUE(program.wait_for("'/nope' is no command")) << program.screen();
}

}  // namespace
}  // namespace foretoken::tests
