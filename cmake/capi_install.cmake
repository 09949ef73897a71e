# Installs libmmreg for other projects: library, headers, CMake package and pkg-config file. In the wheel they lie below
# mmreg_rt/, elsewhere where the system has them:
#
#   cmake --install build/capi --component capi --prefix /opt/mmreg [--strip]
#
# The components `library` and `development` are the same files as two Debian packages.
if(SKBUILD)
  set(CMAKE_INSTALL_LIBDIR mmreg_rt/lib)
  set(CMAKE_INSTALL_INCLUDEDIR mmreg_rt/include)
else()
  include(GNUInstallDirs)
endif()
include(CMakePackageConfigHelpers)

set(MMREG_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/mmreg)
set(MMREG_PKGCONFIG_DIR ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
set(MMREG_INSTALLED ${CMAKE_BINARY_DIR}/installed)  # files written here to be installed
target_include_directories(mmreg_c INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)

file(RELATIVE_PATH MMREG_PREFIX_FROM_PC /${MMREG_PKGCONFIG_DIR} /${CMAKE_INSTALL_INCLUDEDIR}/..)
string(REGEX REPLACE "/$" "" MMREG_PREFIX_FROM_PC ${MMREG_PREFIX_FROM_PC})
configure_file(cmake/mmreg.pc.in ${MMREG_INSTALLED}/mmreg.pc @ONLY)
# While the version is 0.x, a minor version may change the interface.
write_basic_package_version_file(${MMREG_INSTALLED}/mmregConfigVersion.cmake
  VERSION ${MMREG_VERSION} COMPATIBILITY SameMinorVersion)
if(SKBUILD)  # a wheel has no symbolic links: a linker script stands for the one that -lmmreg needs
  file(WRITE ${MMREG_INSTALLED}/libmmreg.so "INPUT(libmmreg.so.${MMREG_ABI})\n")
endif()

if(NOT SKBUILD)  # the wheel has one of its own
  include(${CMAKE_SOURCE_DIR}/cmake/sbom.cmake)
  mmreg_sbom_begin()
  mmreg_sbom_add_c_library_parts()
  mmreg_sbom_write(library libmmreg pkg:generic/libmmreg@${MMREG_VERSION} ${MMREG_INSTALLED}/libmmreg.cdx.json)
endif()

function(mmreg_install_library component)
  set(export)
  if(component STREQUAL capi)
    set(export EXPORT mmregTargets)  # which takes a target once
  endif()
  install(TARGETS mmreg_c ${export}
          LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} NAMELINK_SKIP COMPONENT ${component} ${ARGN})
  if(NOT SKBUILD)  # the wheel has them in its metadata
    install(FILES LICENSE NOTICE ${MMREG_INSTALLED}/libmmreg.cdx.json
            DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/libmmreg${MMREG_ABI}
            COMPONENT ${component} ${ARGN})
  endif()
endfunction()

function(mmreg_install_development component)
  if(SKBUILD)
    install(FILES ${MMREG_INSTALLED}/libmmreg.so DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT ${component} ${ARGN})
  else()
    install(TARGETS mmreg_c LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} NAMELINK_ONLY COMPONENT ${component} ${ARGN})
  endif()
  install(FILES cpp_ext/capi/include/mmreg.h cpp_ext/capi/include/mmreg.hpp
          DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT ${component} ${ARGN})
  install(EXPORT mmregTargets NAMESPACE mmreg:: DESTINATION ${MMREG_CMAKE_DIR} COMPONENT ${component} ${ARGN})
  install(FILES cmake/mmregConfig.cmake ${MMREG_INSTALLED}/mmregConfigVersion.cmake
          DESTINATION ${MMREG_CMAKE_DIR} COMPONENT ${component} ${ARGN})
  install(FILES ${MMREG_INSTALLED}/mmreg.pc DESTINATION ${MMREG_PKGCONFIG_DIR} COMPONENT ${component} ${ARGN})
endfunction()

mmreg_install_library(capi)
mmreg_install_development(capi)
if(NOT SKBUILD)
  mmreg_install_library(library EXCLUDE_FROM_ALL)
  mmreg_install_development(development EXCLUDE_FROM_ALL)
endif()
