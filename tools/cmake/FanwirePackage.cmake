# FanwirePackage.cmake: installs the public headers and what finds the library: fanwire.pc, and the
# CMake package with its version.
#
# Whoever includes this has installed the libraries into the export set:
#
#   install(TARGETS fanwire fanwire_static EXPORT fanwire-targets)
#   include(FanwirePackage)
#
# SPDX-License-Identifier: Apache-2.0
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/core/include/fanwire TYPE INCLUDE FILES_MATCHING PATTERN "*.h")

# Paths in fanwire.pc start from where the file itself lies, so that `cmake --install --prefix` and a
# moved tree work. Absolute folders, which some distributions configure, stay as they are.
# The archive needs wolfSSL beside it: the system's is found as others are, one of our own lies next to
# libfanwire.a under a name that nobody else's has. The shared library brings its own.
set(FANWIRE_PC_REQUIRES_PRIVATE "liburing, zlib, jansson")
set(FANWIRE_PC_LIBS_PRIVATE "-pthread")
set(FANWIRE_WOLFSSL_ARCHIVE "")
if(FANWIRE_WOLFSSL_USED STREQUAL "system")
  string(APPEND FANWIRE_PC_REQUIRES_PRIVATE ", wolfssl")
elseif(FANWIRE_WOLFSSL_LIBRARY MATCHES "\\.a$")
  install(FILES ${FANWIRE_WOLFSSL_LIBRARY} TYPE LIB RENAME libfanwire-wolfssl.a)
  set(FANWIRE_WOLFSSL_ARCHIVE libfanwire-wolfssl.a)
  string(PREPEND FANWIRE_PC_LIBS_PRIVATE "-lfanwire-wolfssl -lm ")
else()
  set(FANWIRE_WOLFSSL_ARCHIVE ${FANWIRE_WOLFSSL_LIBRARY})
  string(PREPEND FANWIRE_PC_LIBS_PRIVATE "${FANWIRE_WOLFSSL_LIBRARY} -lm ")
endif()
if(FANWIRE_WOLFSSL_LIBCRYPTO)
  string(APPEND FANWIRE_PC_REQUIRES_PRIVATE ", libcrypto")
endif()
if(FANWIRE_WOLFSSL_IPSEC_MB)
  string(APPEND FANWIRE_PC_LIBS_PRIVATE " -l${FANWIRE_WOLFSSL_IPSEC_MB}")
endif()
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}" OR IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
  set(FANWIRE_PC_PREFIX ${CMAKE_INSTALL_PREFIX})
  set(FANWIRE_PC_INCLUDEDIR ${CMAKE_INSTALL_FULL_INCLUDEDIR})
  set(FANWIRE_PC_LIBDIR ${CMAKE_INSTALL_FULL_LIBDIR})
else()
  file(RELATIVE_PATH up /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
  string(REGEX REPLACE "/$" "" up "${up}")
  set(FANWIRE_PC_PREFIX "\${pcfiledir}/${up}")
  set(FANWIRE_PC_INCLUDEDIR "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
  set(FANWIRE_PC_LIBDIR "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
endif()
configure_file(${CMAKE_CURRENT_LIST_DIR}/fanwire.pc.in ${PROJECT_BINARY_DIR}/fanwire.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/fanwire.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/fanwire)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/fanwire-config.cmake.in
  ${PROJECT_BINARY_DIR}/fanwire-config.cmake INSTALL_DESTINATION ${package_folder}
  PATH_VARS CMAKE_INSTALL_LIBDIR)
# Before 1.0 a minor version may break what was there.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/fanwire-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(EXPORT fanwire-targets NAMESPACE fanwire:: DESTINATION ${package_folder})
install(FILES ${PROJECT_BINARY_DIR}/fanwire-config.cmake
              ${PROJECT_BINARY_DIR}/fanwire-config-version.cmake DESTINATION ${package_folder})
