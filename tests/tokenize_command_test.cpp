// `foretoken tokenize` as a user meets it: ids to standard output, sentences to standard error.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <memory>
#include <string>

namespace {

struct Outcome {
  std::string output;  // both streams
  int status = -1;
};

std::string model() {
  return std::string(FORETOKEN_SOURCE_DIR) + "/models/tiny/tiny-base-BF16.gguf";
}

/// Runs a shell command line in which $F is the program with its subcommand.
Outcome shell(const std::string& command) {
  const std::string line =
      "F='" FORETOKEN_PROGRAM " tokenize'; M='" + model() + "'; { " + command + "; } 2>&1";
  struct Close {
    void operator()(std::FILE* pipe) const { pclose(pipe); }
  };
  std::unique_ptr<std::FILE, Close> pipe(popen(line.c_str(), "r"));
  Outcome outcome;
  for (int c = std::fgetc(pipe.get()); c != EOF; c = std::fgetc(pipe.get())) {
    outcome.output += static_cast<char>(c);
  }
  const int status = pclose(pipe.release());
  if (WIFEXITED(status)) outcome.status = WEXITSTATUS(status);
  return outcome;
}

TEST(TokenizeCommand, PrintsAListOfIds) {
  const Outcome outcome = shell(R"($F -m $M -p '<|im_start|>user')");
  EXPECT_EQ(outcome.output, "[2007, 280]\n");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(shell(R"($F -m $M -p '')").output, "[]\n");
}

TEST(TokenizeCommand, CanLeaveControlTokensUnread) {
  const Outcome outcome = shell(R"($F -m $M --no-parse-special -p '<|im_start|>user')");
  EXPECT_EQ(outcome.output, "[27, 91, 72, 76, 62, 890, 262, 83, 91, 29, 280]\n");
}

TEST(TokenizeCommand, DecodesWhatItPrinted) {
  const Outcome outcome = shell(R"(printf ' x\n\n\303\251<think>' | $F -m $M | $F -m $M --decode)");
  EXPECT_EQ(outcome.output, " x\n\n\u00E9<think>");
  EXPECT_EQ(shell("$F -m $M --decode -p '5 6,7'").output, "&'(");
}

TEST(TokenizeCommand, ShowsPieces) {
  EXPECT_EQ(shell(R"($F -m $M --pieces -p 'H "')").output, "39\t\"H\"\n282\t\" \\\"\"\n");
}

TEST(TokenizeCommand, ReadsHuggingFaceDirectories) {
  EXPECT_EQ(shell("$F -m " FORETOKEN_SOURCE_DIR "/tests/data/tokenizer/base -p 'hi there'").output,
            shell("$F -m $M -p 'hi there'").output);
}

TEST(TokenizeCommand, WrongInputIsOneSentenceAndStatusOne) {
  const auto expect = [](const std::string& arguments, const std::string& text) {
    const Outcome outcome = shell("$F " + arguments);
    EXPECT_EQ(outcome.status, 1) << arguments;
    EXPECT_NE(outcome.output.find(text), std::string::npos) << outcome.output;
    EXPECT_EQ(outcome.output.find('\n'), outcome.output.size() - 1) << outcome.output;
  };
  expect("-m $M --decode -p 2048", "token id 2048 is outside the vocabulary; expected 0 to 2047");
  expect("-m $M --decode -p -1", "'-1' is not a token id");
  expect("-m $M --decode -p 1,x", "'x' is not a token id");
  expect("-m /nonexistent -p x", "/nonexistent");
  expect("-m $M -f /nonexistent", "/nonexistent");
  EXPECT_EQ(shell("$F -p x").status, 2);
}

}  // namespace
