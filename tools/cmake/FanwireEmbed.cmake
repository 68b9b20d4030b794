# FanwireEmbed.cmake: puts the files of a web page into the program, as a C table.
#
#   include(FanwireEmbed)
#   fanwire_embed_web(FOLDER SOURCE_VARIABLE)
#   add_executable(... ${SOURCE_VARIABLE's value})
#
# The source that this writes fills what tools/fanwire/web_assets.h declares: every file of FOLDER by
# its exact path, pages without their extension: chat.html as /chat, index.html as /. No path is ever
# built from a request, so none can leave the table. Run as a script (cmake -P) by the build, this same file does the writing.
#
# SPDX-License-Identifier: Apache-2.0

set(FANWIRE_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_FILE})

function(fanwire_embed_web folder source_variable)
  set(source ${CMAKE_CURRENT_BINARY_DIR}/web_assets.c)
  file(GLOB files CONFIGURE_DEPENDS ${folder}/*)
  add_custom_command(
    OUTPUT ${source}
    COMMAND ${CMAKE_COMMAND} -DFOLDER=${folder} -DSOURCE=${source} -P ${FANWIRE_EMBED_SCRIPT}
    DEPENDS ${files} ${FANWIRE_EMBED_SCRIPT}
    COMMENT "Embedding ${folder}"
    VERBATIM)
  set(${source_variable} ${source} PARENT_SCOPE)
endfunction()

# The media type of a file, by its extension; a new kind of file needs a line here.
function(media_type file type_variable)
  get_filename_component(extension ${file} LAST_EXT)
  set(types .html "text/html\; charset=utf-8"
            .css "text/css\; charset=utf-8"
            .js "text/javascript\; charset=utf-8"
            .svg "image/svg+xml"
            .png "image/png")
  list(FIND types ${extension} at)
  if(at EQUAL -1)
    message(FATAL_ERROR "FanwireEmbed: no media type is known for ${file}")
  endif()
  math(EXPR at "${at} + 1")
  list(GET types ${at} type)
  set(${type_variable} "${type}" PARENT_SCOPE)
endfunction()

# The bytes of a file as a C initializer, 16 to a line. The spaces that begin a line stay behind, a
# twelfth of all: no text of the pages runs over a line's end.
function(bytes_of file bytes_variable)
  file(READ ${file} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(REGEX REPLACE "0x0a,(0x20,)+" "0x0a," bytes "${bytes}")
  string(REPEAT "0x[0-9a-f][0-9a-f]," 16 line)
  string(REGEX REPLACE "(${line})" "    \\1\n" bytes "${bytes}")
  set(${bytes_variable} "${bytes}" PARENT_SCOPE)
endfunction()

function(write_source)
  file(GLOB names RELATIVE ${FOLDER} ${FOLDER}/*)
  list(SORT names)
  set(arrays "")
  set(entries "")
  set(number 0)
  foreach(name IN LISTS names)
    media_type(${name} type)
    bytes_of(${FOLDER}/${name} bytes)
    string(REGEX REPLACE "^(index)?(.*)\\.html$" "\\2" path ${name})
    set(path /${path})
    string(APPEND arrays "/* ${name} */\nstatic const uint8_t bytes_${number}[] = {\n${bytes}};\n\n")
    string(APPEND entries
           "    {\"${path}\", \"${type}\", bytes_${number}, sizeof bytes_${number}},\n")
    math(EXPR number "${number} + 1")
  endforeach()
  file(CONFIGURE OUTPUT ${SOURCE} @ONLY CONTENT
"/* web_assets.c: written by FanwireEmbed.cmake; change the files of tools/web instead.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include \"web_assets.h\"

#include <string.h>

@arrays@static const struct web_asset assets[] = {
@entries@};

const struct web_asset *web_asset_find(const char *path, size_t path_bytes)
{
    for (size_t i = 0; i < sizeof assets / sizeof *assets; i++) {
        if (strlen(assets[i].path) == path_bytes && memcmp(assets[i].path, path, path_bytes) == 0)
            return &assets[i];
    }
    return NULL;
}
")
endfunction()

if(CMAKE_SCRIPT_MODE_FILE STREQUAL CMAKE_CURRENT_LIST_FILE)
  write_source()
endif()
