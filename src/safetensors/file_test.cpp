#include "safetensors/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "base/error.h"

namespace foretoken::safetensors {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

std::vector<std::byte> file_bytes(std::string_view header, std::size_t data_bytes) {
  const std::uint64_t length = header.size();
  std::vector<std::byte> out(8 + header.size() + data_bytes);
  std::memcpy(out.data(), &length, 8);
  std::memcpy(out.data() + 8, header.data(), header.size());
  for (std::size_t i = 0; i < data_bytes; ++i) {
    out[8 + header.size() + i] = static_cast<std::byte>(i);
  }
  return out;
}

/// "" when the file opens, else the error's text.
std::string error_of(std::string_view header, std::size_t data_bytes) {
  const auto bytes = file_bytes(header, data_bytes);
  try {
    File::from_memory(bytes, "x.safetensors");
    return "";
  } catch (const FormatError& error) {
    EXPECT_THAT(error.what(), HasSubstr("x.safetensors"));
    return error.what();
  }
}

std::string tensor(std::string_view name, std::string_view dtype, std::string_view shape,
                   std::string_view offsets) {
  return "\"" + std::string(name) + "\":{\"dtype\":\"" + std::string(dtype) + "\",\"shape\":[" +
         std::string(shape) + "],\"data_offsets\":[" + std::string(offsets) + "]}";
}

std::string nested(int depth) {
  std::string text = "{\"a\":";
  for (int i = 0; i < depth; ++i) text += "[";
  return text;
}

TEST(SafetensorsFile, ReadsTensorsByNameWithMetadata) {
  const auto bytes = file_bytes(
      R"({"__metadata__":{"format":"pt","a":""},)" + tensor("b", "F32", "2", "0,8") + "," +
          tensor("a", "BF16", "2,3", "8,20") + "," + tensor("s", "U8", "", "20,21") + "}   ",
      21);
  const File file = File::from_memory(bytes, "x.safetensors");
  ASSERT_EQ(file.tensors().size(), 3u);
  const TensorInfo& a = file.tensors()[0];
  EXPECT_EQ(a.name, "a");
  EXPECT_EQ(a.type, DType::BF16);
  EXPECT_THAT(a.shape, ElementsAre(2, 3));
  EXPECT_EQ(a.n_elements(), 6u);
  EXPECT_EQ(file.data(a).size(), 12u);
  EXPECT_EQ(file.data(a)[0], std::byte{8});
  EXPECT_EQ(file.find_tensor("s")->n_elements(), 1u);
  EXPECT_EQ(file.find_tensor("nope"), nullptr);
  EXPECT_THAT(file.metadata(), ElementsAre(Pair("format", "pt"), Pair("a", "")));
}

TEST(SafetensorsFile, AcceptsEmptyTensorsAndEmptyFiles) {
  EXPECT_EQ(error_of("{}", 0), "");
  EXPECT_EQ(error_of("{" + tensor("a", "F32", "0", "0,0") + "," + tensor("b", "I8", "3", "0,3") +
                         "," + tensor("c", "F64", "7,0", "3,3") + "}",
                     3),
            "");
}

TEST(SafetensorsFile, AcceptsTensorsThatAreNotAligned) {
  EXPECT_EQ(
      error_of("{" + tensor("a", "U8", "1", "0,1") + "," + tensor("b", "F32", "1", "1,5") + "}", 5),
      "");
}

TEST(SafetensorsFile, RejectsHeadersLongerThanTheFileOrTheLimit) {
  EXPECT_THROW(File::from_memory({}, "x"), FormatError);
  std::vector<std::byte> bytes(20, std::byte{0xff});
  EXPECT_THROW(File::from_memory(bytes, "x"), FormatError);
  const std::uint64_t too_long = 100'000'001;
  std::memcpy(bytes.data(), &too_long, 8);
  EXPECT_THROW(File::from_memory(bytes, "x"), FormatError);
  const std::uint64_t beyond_end = 13;
  std::memcpy(bytes.data(), &beyond_end, 8);
  EXPECT_THROW(File::from_memory(bytes, "x"), FormatError);
}

TEST(SafetensorsFile, RejectsHeadersThatAreNotOneStrictObject) {
  for (const std::string header : {"", " {}", "[]", "{", "{}{}", "{}\n", "{}x", "{,}", "{'a':1}",
                                   "\xef\xbb\xbf{}", "{\"a\xff\":{}}", "{} /* */", "{\"a\":1,}"}) {
    EXPECT_NE(error_of(header, 0), "") << header;
  }
  EXPECT_NE(error_of(std::string("{}\0}", 4), 0), "");
  EXPECT_NE(error_of(std::string("{\0}", 3), 0), "");
}

TEST(SafetensorsFile, RejectsDeepNestingWithoutFollowingIt) {
  EXPECT_NE(error_of(nested(1) + "}", 0), "");
  EXPECT_THAT(error_of(nested(1'000'000) + "}", 0), HasSubstr("an array"));
  EXPECT_NE(error_of(R"({"__metadata__":{"a":{"b":"c"}}})", 0), "");
  EXPECT_NE(error_of(R"({"__metadata__":[]})", 0), "");
}

TEST(SafetensorsFile, RejectsMembersGivenTwice) {
  const std::string a = tensor("a", "U8", "0", "0,0");
  EXPECT_THAT(error_of("{" + a + "," + a + "}", 0), HasSubstr("twice"));
  EXPECT_THAT(error_of(R"({"__metadata__":{"a":"1","a":"2"}})", 0), HasSubstr("twice"));
  EXPECT_THAT(error_of(R"({"__metadata__":{},"__metadata__":{}})", 0), HasSubstr("twice"));
  EXPECT_THAT(error_of(R"({"a":{"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]}})", 0),
              HasSubstr("twice"));
}

TEST(SafetensorsFile, RejectsMissingAndUnknownMembers) {
  EXPECT_THAT(error_of(R"({"a":{"dtype":"U8","shape":[0]}})", 0), HasSubstr("missing"));
  EXPECT_THAT(error_of(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"x":1}})", 0),
              HasSubstr("unknown member 'x'"));
  EXPECT_NE(error_of(R"({"a":{}})", 0), "");
  EXPECT_NE(error_of(R"({"a":5})", 0), "");
  EXPECT_NE(error_of(R"({"a":"b"})", 0), "");
  EXPECT_NE(error_of(R"({"__metadata__":{"a":1}})", 0), "");
}

TEST(SafetensorsFile, RejectsNumbersThatAreNotWholeAndInRange) {
  for (const char* length : {"-1", "-0", "1.0", "1e0", "9223372036854775808", "null", "\"1\"",
                             "18446744073709551616", "[1]", "{}", "true"}) {
    EXPECT_NE(error_of("{" + tensor("a", "U8", length, "0,1") + "}", 1), "") << length;
    EXPECT_NE(error_of("{" + tensor("a", "U8", "1", std::string("0,") + length) + "}", 1), "")
        << length;
  }
  EXPECT_NE(error_of("{" + tensor("a", "U8", "1", "0") + "}", 1), "");
  EXPECT_NE(error_of("{" + tensor("a", "U8", "1", "0,1,1") + "}", 1), "");
}

TEST(SafetensorsFile, RejectsShapesThatOverflow) {
  EXPECT_THAT(error_of("{" + tensor("a", "F32", "4611686018427387904,4", "0,0") + "}", 0),
              HasSubstr("64 bits"));
  EXPECT_THAT(error_of("{" + tensor("a", "U8", "4294967296,4294967296,0", "0,0") + "}", 0),
              HasSubstr("64 bits"));
  std::string many = "1";
  for (int i = 0; i < 32; ++i) many += ",1";
  EXPECT_THAT(error_of("{" + tensor("a", "U8", many, "0,1") + "}", 1), HasSubstr("dimensions"));
}

TEST(SafetensorsFile, RejectsOffsetsThatContradictTheShape) {
  EXPECT_THAT(error_of("{" + tensor("a", "F32", "2", "0,4") + "}", 4), HasSubstr("has 8"));
  EXPECT_NE(error_of("{" + tensor("a", "F32", "1", "4,0") + "}", 4), "");
}

TEST(SafetensorsFile, RejectsTensorsBeyondTheEndOfTheFile) {
  EXPECT_THAT(error_of("{" + tensor("a", "F32", "2", "0,8") + "}", 7), HasSubstr("cut short"));
}

TEST(SafetensorsFile, RejectsHolesOverlapsAndBytesBehind) {
  const std::string a = tensor("a", "U8", "4", "0,4");
  EXPECT_THAT(error_of("{" + a + "," + tensor("b", "U8", "4", "5,9") + "}", 9), HasSubstr("hole"));
  EXPECT_THAT(error_of("{" + a + "," + tensor("b", "U8", "4", "3,7") + "}", 7),
              HasSubstr("overlap"));
  EXPECT_THAT(error_of("{" + a + "," + tensor("b", "U8", "4", "0,4") + "}", 4),
              HasSubstr("overlap"));
  EXPECT_THAT(error_of("{" + a + "}", 5), HasSubstr("1 bytes follow"));
  EXPECT_NE(error_of("{" + tensor("a", "U8", "4", "1,5") + "}", 5), "");
}

TEST(SafetensorsFile, RefusesTypesItDoesNotKnow) {
  for (const char* type : {"F4", "C64", "bf16", ""}) {
    const auto bytes = file_bytes("{" + tensor("a", type, "0", "0,0") + "}", 0);
    EXPECT_THROW(File::from_memory(bytes, "x"), UnsupportedError) << type;
  }
}

TEST(SafetensorsFile, ShowsNamesFromOutsideEscaped) {
  const std::string text = error_of("{" + tensor("\\u001b[2J", "F32", "2", "0,4") + "}", 4);
  EXPECT_THAT(text, HasSubstr("\\x1b"));
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace foretoken::safetensors
