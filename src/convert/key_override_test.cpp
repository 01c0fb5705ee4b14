#include "convert/key_override.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "gguf/file.h"

namespace foretoken::convert {
namespace {

TEST(KeyOverride, EveryTypeIsStoredAsLlamaQuantizeDoes) {
  gguf::Writer keys;
  keys.set_string("a", "first");
  for (const char* text :
       {"n=int:-7", "x=float:0.5", "yes=bool:true", "no=bool:false", "a=str:k=v:w", "empty=str:"}) {
    apply(parse_key_override(text), keys);
  }
  const auto bytes = keys.to_bytes();
  const gguf::File file = gguf::File::from_memory(bytes, "test");
  EXPECT_EQ(file.metadata().require_u32("n"), 7U);
  EXPECT_EQ(file.metadata().require_f32("x"), 0.5F);
  EXPECT_EQ(file.metadata().find_bool("yes"), true);
  EXPECT_EQ(file.metadata().find_bool("no"), false);
  EXPECT_EQ(file.metadata().require_string("a"), "k=v:w");
  EXPECT_EQ(file.metadata().require_string("empty"), "");
  EXPECT_EQ(file.metadata().entries()[4].key, "a");  // set again, so moved behind the others
}

TEST(KeyOverride, RefusesWhatItCannotStore) {
  for (const char* text : {"", "key", "key=", "=int:1", "key=int", "key=int:", "key=int:1x",
                           "key=int:4294967296", "key=float:abc", "key=bool:yes", "key=u8:1"}) {
    EXPECT_THROW(parse_key_override(text), RequestError) << text;
  }
  EXPECT_THROW(parse_key_override("key=str:" + std::string(128, 'x')), RequestError);
  EXPECT_THROW(parse_key_override(std::string(128, 'k') + "=int:1"), RequestError);
}

}  // namespace
}  // namespace foretoken::convert
