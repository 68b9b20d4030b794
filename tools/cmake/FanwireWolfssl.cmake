# FanwireWolfssl.cmake: which wolfSSL, as one target that core and net link.
#
#   FANWIRE_WOLFSSL=private   the static archive that tools/build-wolfssl makes, built now if need be
#                  =system    the distribution's shared library, its AES-GCM, P-256 and randomness
#                             served by libcrypto
#                  =PATH      a prefix with include/wolfssl and lib/libwolfssl.a or .so
#                  (empty)    private when it was built before, else system
#
#   fanwire_wolfssl           the target
#   FANWIRE_WOLFSSL_USED      what was chosen: system, or the prefix
#   FANWIRE_WOLFSSL_LIBRARY   of a prefix: the archive or shared library
#   FANWIRE_WOLFSSL_LIBCRYPTO whether libcrypto helps
#   FANWIRE_WOLFSSL_IPSEC_MB  the library that helps with AES-GCM on processors with VAES, or empty
#
# SPDX-License-Identifier: Apache-2.0

set(FANWIRE_WOLFSSL "" CACHE STRING "wolfSSL: private, system, a prefix, or empty for the best at hand")
set(fanwire_build_wolfssl ${PROJECT_SOURCE_DIR}/tools/build-wolfssl)

# fanwire_wolfssl_private(PREFIX_VARIABLE [--find]): runs the script; the prefix, or nothing.
function(fanwire_wolfssl_private prefix)
  execute_process(COMMAND ${fanwire_build_wolfssl} ${ARGN} OUTPUT_VARIABLE output
                  OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE result)
  if(result EQUAL 0)
    string(REGEX REPLACE ".*\n" "" output "${output}")
    set(${prefix} ${output} PARENT_SCOPE)
  else()
    unset(${prefix} PARENT_SCOPE)
  endif()
endfunction()

add_library(fanwire_wolfssl INTERFACE)

# fanwire_wolfssl_prefix(PREFIX): links what lies there.
function(fanwire_wolfssl_prefix prefix)
  find_library(FANWIRE_WOLFSSL_LIBRARY NAMES libwolfssl.a wolfssl PATHS ${prefix}/lib ${prefix}/lib64
               NO_DEFAULT_PATH NO_CACHE)
  if(NOT FANWIRE_WOLFSSL_LIBRARY OR NOT EXISTS ${prefix}/include/wolfssl/options.h)
    message(FATAL_ERROR "FANWIRE_WOLFSSL: no wolfSSL under ${prefix} (include/wolfssl, lib/libwolfssl)")
  endif()
  target_include_directories(fanwire_wolfssl SYSTEM INTERFACE ${prefix}/include)
  target_link_libraries(fanwire_wolfssl INTERFACE ${FANWIRE_WOLFSSL_LIBRARY} Threads::Threads m)
  # An archive inside our library is our business alone: its symbols must not meet another wolfSSL
  # in the same process.
  target_link_options(fanwire_wolfssl INTERFACE LINKER:--exclude-libs,libwolfssl.a)
  # A build of somebody else's may lack AES-NI; then libcrypto helps it, as it helps the system's.
  file(STRINGS ${prefix}/include/wolfssl/options.h fast REGEX "define (WOLFSSL_AESNI|WOLFSSL_ARMASM)$")
  file(STRINGS ${prefix}/include/wolfssl/options.h device REGEX "define WOLF_CRYPTO_CB$")
  if(NOT fast AND device)
    fanwire_wolfssl_libcrypto()
    set(FANWIRE_WOLFSSL_LIBCRYPTO ON PARENT_SCOPE)
  elseif(device)
    fanwire_wolfssl_ipsec_mb()
    set(FANWIRE_WOLFSSL_IPSEC_MB ${FANWIRE_WOLFSSL_IPSEC_MB} PARENT_SCOPE)
  endif()
  set(FANWIRE_WOLFSSL_LIBRARY ${FANWIRE_WOLFSSL_LIBRARY} PARENT_SCOPE)
endfunction()

# fanwire_wolfssl_libcrypto(): turns tls_libcrypto.c on.
function(fanwire_wolfssl_libcrypto)
  find_package(OpenSSL 3 REQUIRED COMPONENTS Crypto)
  target_link_libraries(fanwire_wolfssl INTERFACE OpenSSL::Crypto)
  target_compile_definitions(fanwire_wolfssl INTERFACE FW_WOLFSSL_LIBCRYPTO)
  set(FANWIRE_WOLFSSL_LIBCRYPTO ON PARENT_SCOPE)
endfunction()

# fanwire_wolfssl_ipsec_mb(): turns tls_ipsec_mb.c on, where that library is. It has no pkg-config file.
function(fanwire_wolfssl_ipsec_mb)
  find_path(FANWIRE_IPSEC_MB_INCLUDE intel-ipsec-mb.h)
  find_library(FANWIRE_IPSEC_MB_LIBRARY IPSec_MB)
  mark_as_advanced(FANWIRE_IPSEC_MB_INCLUDE FANWIRE_IPSEC_MB_LIBRARY)
  if(FANWIRE_IPSEC_MB_INCLUDE AND FANWIRE_IPSEC_MB_LIBRARY)
    target_include_directories(fanwire_wolfssl SYSTEM INTERFACE ${FANWIRE_IPSEC_MB_INCLUDE})
    target_link_libraries(fanwire_wolfssl INTERFACE ${FANWIRE_IPSEC_MB_LIBRARY})
    target_compile_definitions(fanwire_wolfssl INTERFACE FW_WOLFSSL_IPSEC_MB)
    set(FANWIRE_WOLFSSL_IPSEC_MB IPSec_MB PARENT_SCOPE)
  endif()
endfunction()

if(FANWIRE_WOLFSSL STREQUAL "")
  fanwire_wolfssl_private(fanwire_wolfssl_found --find)
elseif(FANWIRE_WOLFSSL STREQUAL "private")
  fanwire_wolfssl_private(fanwire_wolfssl_found)
  if(NOT fanwire_wolfssl_found)
    message(FATAL_ERROR "FANWIRE_WOLFSSL=private: tools/build-wolfssl failed, see above")
  endif()
elseif(NOT FANWIRE_WOLFSSL STREQUAL "system")
  set(fanwire_wolfssl_found ${FANWIRE_WOLFSSL})
endif()

if(fanwire_wolfssl_found)
  fanwire_wolfssl_prefix(${fanwire_wolfssl_found})
  set(FANWIRE_WOLFSSL_USED ${fanwire_wolfssl_found})
else()
  pkg_check_modules(WOLFSSL REQUIRED IMPORTED_TARGET wolfssl)
  target_link_libraries(fanwire_wolfssl INTERFACE PkgConfig::WOLFSSL)
  fanwire_wolfssl_libcrypto()
  set(FANWIRE_WOLFSSL_USED system)
  if(FANWIRE_WOLFSSL STREQUAL "")
    message(STATUS "wolfSSL: the system's, which is slow and heavy; run tools/build-wolfssl once and "
                   "configure again for a private one")
  endif()
endif()
message(STATUS "wolfSSL: ${FANWIRE_WOLFSSL_USED}")
