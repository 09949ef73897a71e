# The library of plugins for TensorRT without Python: its headers are needed, nothing of it is linked.
find_path(MMREG_TENSORRT_HEADERS NvInferRuntime.h PATHS ${TENSORRT_ROOT} PATH_SUFFIXES include NO_DEFAULT_PATH)
if(NOT MMREG_TENSORRT_HEADERS OR NOT MMREG_CUDA)
  message(FATAL_ERROR "The plugins for TensorRT need nvcc, and NvInferRuntime.h in TENSORRT_ROOT/include; "
                      "TENSORRT_ROOT is ${TENSORRT_ROOT}, MMREG_CUDA is ${MMREG_CUDA}.")
endif()

set(objects)
foreach(source ${MMREG_AHEAD_SOURCE} ${CMAKE_SOURCE_DIR}/cpp_ext/plugins/tensorrt/warp_plugin.cpp
               ${CMAKE_SOURCE_DIR}/cpp_ext/ops/batch_warp.cpp)
  get_filename_component(name ${source} NAME)
  set(object ${CMAKE_BINARY_DIR}/tensorrt/${name}.o)
  add_custom_command(OUTPUT ${object}
                     COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/tensorrt
                     COMMAND ${MMREG_NVCC} ${MMREG_NVCC_FLAGS} -isystem ${MMREG_TENSORRT_HEADERS} -c ${source} -o ${object}
                     DEPENDS ${source} ${MMREG_CUDA_HEADERS} VERBATIM)
  list(APPEND objects ${object})
endforeach()
set(library ${CMAKE_BINARY_DIR}/libmmreg_tensorrt.so)
add_custom_command(OUTPUT ${library}
                   COMMAND ${MMREG_NVCC} -shared -cudart=static -Xlinker=--exclude-libs,ALL -Xlinker=--no-undefined
                           -o ${library} ${objects}
                   DEPENDS ${objects} VERBATIM)
add_custom_target(mmreg_tensorrt ALL DEPENDS ${library})
