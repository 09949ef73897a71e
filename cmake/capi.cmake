# libmmreg.so: the C library for hosts other than Python. It needs the C library alone at run time, since the C++ library
# is linked into it and no C++ type crosses its border.
set(MMREG_ABI 1)

set(MMREG_TENSORRT_INCLUDE "" CACHE STRING
    "Folders of NvInferRuntime.h and of the CUDA headers that it includes, for TensorRT in libmmreg; none: without it")
file(GLOB_RECURSE MMREG_CAPI_SOURCES CONFIGURE_DEPENDS cpp_ext/capi/*.cpp)
set(MMREG_TENSORRT_SOURCES cpp_ext/capi/engines/tensorrt.cpp cpp_ext/capi/engines/cuda_driver.cpp)
list(TRANSFORM MMREG_TENSORRT_SOURCES PREPEND ${CMAKE_SOURCE_DIR}/)
if(MMREG_TENSORRT_INCLUDE)
  list(REMOVE_ITEM MMREG_CAPI_SOURCES ${CMAKE_SOURCE_DIR}/cpp_ext/capi/engines/without_tensorrt.cpp)
else()
  list(REMOVE_ITEM MMREG_CAPI_SOURCES ${MMREG_TENSORRT_SOURCES})
endif()
add_library(mmreg_c_objects OBJECT ${MMREG_CAPI_SOURCES})
target_include_directories(mmreg_c_objects SYSTEM PRIVATE ${MMREG_TENSORRT_INCLUDE})
target_compile_definitions(mmreg_c_objects PRIVATE MMREG_VERSION="${MMREG_VERSION}")
target_compile_options(mmreg_c_objects PRIVATE -Wall -Wextra)
target_include_directories(mmreg_c_objects PRIVATE cpp_ext cpp_ext/capi/include)
if(MMREG_SANITIZE)  # a library that cannot be loaded into other programs: the tests take the objects
  return()
endif()
add_library(mmreg_c SHARED $<TARGET_OBJECTS:mmreg_c_objects>)
add_library(mmreg::mmreg ALIAS mmreg_c)
set_target_properties(mmreg_c PROPERTIES
  OUTPUT_NAME mmreg EXPORT_NAME mmreg VERSION ${MMREG_ABI} SOVERSION ${MMREG_ABI}
  LINK_DEPENDS ${CMAKE_SOURCE_DIR}/cpp_ext/capi/mmreg.map)
target_include_directories(mmreg_c PUBLIC $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/cpp_ext/capi/include>)
target_link_libraries(mmreg_c PRIVATE $<BUILD_INTERFACE:mmreg>)
target_link_options(mmreg_c PRIVATE
  -static-libstdc++ -static-libgcc LINKER:--no-undefined
  LINKER:--version-script=${CMAKE_SOURCE_DIR}/cpp_ext/capi/mmreg.map
  LINKER:-z,now LINKER:-z,relro)
include(${CMAKE_SOURCE_DIR}/cmake/capi_install.cmake)
