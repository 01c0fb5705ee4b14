# Embeds the chat page (web/dist, built by `make web` and committed, so that no Node is needed here)
# into the API library: each file as it is and compressed once with gzip. The assembler's .incbin
# takes the bytes over directly; arrays in C++ would be several megabytes of source.
find_program(GZIP gzip REQUIRED)
file(GLOB page_files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/web/dist/*)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${page_files})
set(embedded ${PROJECT_BINARY_DIR}/generated/page)
file(MAKE_DIRECTORY ${embedded})

set(FORETOKEN_PAGE_BYTES "")
set(FORETOKEN_PAGE_DECLARATIONS "")
set(FORETOKEN_PAGE_ROWS "")
set(page_parts "")
set(number 0)
foreach(file IN LISTS page_files)
  get_filename_component(name ${file} NAME)
  file(SHA256 ${file} hash)
  string(SUBSTRING ${hash} 0 20 hash)
  set(compressed ${embedded}/${name}.gz)
  add_custom_command(OUTPUT ${compressed} DEPENDS ${file}
    COMMAND ${GZIP} -9 -n -c ${file} > ${compressed} VERBATIM)
  foreach(form IN ITEMS plain gzip)
    if(form STREQUAL gzip)
      set(source ${compressed})
    else()
      set(source ${file})
    endif()
    set(symbol foretoken_page_${number}_${form})
    string(APPEND FORETOKEN_PAGE_BYTES
      "    \".global ${symbol}\\n${symbol}:\\n.incbin \\\"${source}\\\"\\n\"\n"
      "    \".global ${symbol}_end\\n${symbol}_end:\\n.byte 0\\n\"\n")
    string(APPEND FORETOKEN_PAGE_DECLARATIONS
      "extern const char ${symbol}[];\nextern const char ${symbol}_end[];\n")
    list(APPEND page_parts ${source})
  endforeach()
  string(APPEND FORETOKEN_PAGE_ROWS
    "      {\"/${name}\", \"W/\\\"${hash}\\\"\",\n"
    "       bytes(foretoken_page_${number}_plain, foretoken_page_${number}_plain_end),\n"
    "       bytes(foretoken_page_${number}_gzip, foretoken_page_${number}_gzip_end)},\n")
  math(EXPR number "${number} + 1")
endforeach()
if(number EQUAL 0)
  message(FATAL_ERROR "web/dist is empty: run `make web`")
endif()

configure_file(${PROJECT_SOURCE_DIR}/src/api/page_files.cpp.in ${embedded}/page_files.cpp @ONLY)
set_source_files_properties(${embedded}/page_files.cpp PROPERTIES OBJECT_DEPENDS "${page_parts}")
target_sources(foretoken_api PRIVATE ${embedded}/page_files.cpp)
