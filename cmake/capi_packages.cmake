# libmmreg as packages, from a build without Python whose prefix is /usr:
#
#   cmake -S . -B build/capi -DMMREG_PYTHON=OFF -DCMAKE_INSTALL_PREFIX=/usr && cmake --build build/capi
#   cpack --config build/capi/CPackConfig.cmake -B build/packages
#
# libmmreg1 is the library, libmmreg-dev what programs are built with; the tarball has both.
set(CPACK_PACKAGE_NAME libmmreg)
set(CPACK_PACKAGE_VERSION ${MMREG_VERSION})
set(CPACK_PACKAGE_CONTACT "The maintainers of mmreg_rt")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Registration of medical images inside a device")
set(CPACK_RESOURCE_FILE_LICENSE ${CMAKE_SOURCE_DIR}/LICENSE)
set(CPACK_GENERATOR TGZ)
string(TOLOWER ${CMAKE_SYSTEM_NAME}-${CMAKE_SYSTEM_PROCESSOR} MMREG_PLATFORM)
set(CPACK_PACKAGE_FILE_NAME libmmreg-${MMREG_VERSION}-${MMREG_PLATFORM})
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL library development)

find_program(MMREG_DPKG dpkg)
find_program(MMREG_DPKG_SHLIBDEPS dpkg-shlibdeps)
if(MMREG_DPKG)
  list(APPEND CPACK_GENERATOR DEB)
endif()
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME libmmreg${MMREG_ABI})
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_MULTIARCH same)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)  # programs depend on this version, and ldconfig runs
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")
if(MMREG_DPKG_SHLIBDEPS)
  set(CPACK_DEBIAN_LIBRARY_PACKAGE_SHLIBDEPS ON)
else()
  set(CPACK_DEBIAN_LIBRARY_PACKAGE_DEPENDS libc6)
endif()
set(CPACK_COMPONENT_LIBRARY_DESCRIPTION
  "The library for hosts in C, C++ or any language that calls C. It needs the C library alone.")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libmmreg-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_MULTIARCH same)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "libmmreg${MMREG_ABI} (= ${MMREG_VERSION})")
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION "Headers for C and C++, a CMake package and a pkg-config file.")
include(CPack)
