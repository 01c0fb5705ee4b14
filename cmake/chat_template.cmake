# Embeds our own chat template, used for model files that carry none, into the chat library.
set(template ${PROJECT_SOURCE_DIR}/models/tiny/chat_template.jinja)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${template})
# Not file(STRINGS) and not a list anywhere: the template contains ';' and '[' freely.
file(READ ${template} FORETOKEN_CHAT_TEMPLATE)
configure_file(${PROJECT_SOURCE_DIR}/src/chat/builtin_template.cpp.in
  ${PROJECT_BINARY_DIR}/generated/builtin_template.cpp @ONLY)
target_sources(foretoken_chat PRIVATE ${PROJECT_BINARY_DIR}/generated/builtin_template.cpp)
