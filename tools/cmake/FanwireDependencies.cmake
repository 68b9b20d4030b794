# FanwireDependencies.cmake: the libraries of others, each as a target (why each: ARCHITECTURE.md).

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(URING REQUIRED IMPORTED_TARGET liburing>=2.3)
pkg_check_modules(WOLFSSL REQUIRED IMPORTED_TARGET wolfssl)
if(FANWIRE_TESTS)
  pkg_check_modules(CRITERION REQUIRED IMPORTED_TARGET criterion)
endif()
