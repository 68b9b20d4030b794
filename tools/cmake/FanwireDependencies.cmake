# FanwireDependencies.cmake: the libraries of others, each as a target (why each: ARCHITECTURE.md).
#
# SPDX-License-Identifier: Apache-2.0

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(URING REQUIRED IMPORTED_TARGET liburing>=2.3)
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib>=1.2.12)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson>=2.10)
include(FanwireWolfssl)
# The command alone needs these; the library does not.
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl>=7.85)
pkg_check_modules(CRYPT REQUIRED IMPORTED_TARGET libxcrypt)
if(FANWIRE_TESTS)
  find_package(OpenSSL 3 REQUIRED COMPONENTS SSL)
  pkg_check_modules(CRITERION REQUIRED IMPORTED_TARGET criterion)
endif()
