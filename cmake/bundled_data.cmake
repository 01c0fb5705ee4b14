# Embeds the texts that the evaluation library measures with. They are plain files so that they can
# be read and changed as such; see chat_template.cmake for why they are read this way.
foreach(name IN ITEMS bundled_text.txt acceptance_prompts.json)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
    ${PROJECT_SOURCE_DIR}/src/eval/data/${name})
endforeach()
file(READ ${PROJECT_SOURCE_DIR}/src/eval/data/bundled_text.txt FORETOKEN_BUNDLED_TEXT)
file(READ ${PROJECT_SOURCE_DIR}/src/eval/data/acceptance_prompts.json FORETOKEN_ACCEPTANCE_PROMPTS)
configure_file(${PROJECT_SOURCE_DIR}/src/eval/bundled_text.cpp.in
  ${PROJECT_BINARY_DIR}/generated/bundled_text.cpp @ONLY)
target_sources(foretoken_eval PRIVATE ${PROJECT_BINARY_DIR}/generated/bundled_text.cpp)
