# FanwireFlags.cmake: compiler settings, as interface targets that our own targets link.
#
#   fanwire_flags   warnings, sanitizers, hardening; every target of ours links it
#
# SPDX-License-Identifier: Apache-2.0

add_library(fanwire_flags INTERFACE)
target_compile_features(fanwire_flags INTERFACE c_std_17)
target_compile_definitions(fanwire_flags INTERFACE _GNU_SOURCE)
target_compile_options(fanwire_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wcast-align -Wformat=2
  -Wmissing-prototypes -Wstrict-prototypes -Wpointer-arith -Wundef -Wvla -Wwrite-strings
  -Wnull-dereference -Wimplicit-fallthrough -Wswitch-enum
  -fvisibility=hidden -fno-common)
if(FANWIRE_WERROR)
  target_compile_options(fanwire_flags INTERFACE -Werror)
endif()

if(FANWIRE_SANITIZE)
  target_compile_options(fanwire_flags INTERFACE
    -fsanitize=${FANWIRE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(fanwire_flags INTERFACE -fsanitize=${FANWIRE_SANITIZE})
  target_compile_definitions(fanwire_flags INTERFACE FW_SLOW_ASSERTS)
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_options(fanwire_flags INTERFACE -fstack-protector-strong)
  target_compile_definitions(fanwire_flags INTERFACE _FORTIFY_SOURCE=2)
  target_link_options(fanwire_flags INTERFACE -Wl,-z,relro,-z,now)
endif()
if(FANWIRE_FUZZ)
  target_compile_options(fanwire_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(FANWIRE_COVERAGE)
  target_compile_options(fanwire_flags INTERFACE -fprofile-instr-generate -fcoverage-mapping)
  target_link_options(fanwire_flags INTERFACE -fprofile-instr-generate)
endif()
if(CMAKE_BUILD_TYPE STREQUAL "Debug")
  target_compile_options(fanwire_flags INTERFACE -O1 -g)
endif()

if(FANWIRE_LTO)
  include(CheckIPOSupported)
  check_ipo_supported(RESULT fanwire_has_lto OUTPUT fanwire_lto_output LANGUAGES C)
  if(fanwire_has_lto)
    set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
    # Machine code beside the compiler's own: the installed archive serves other compilers too.
    if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
      target_compile_options(fanwire_flags INTERFACE -ffat-lto-objects)
    endif()
  endif()
endif()
