# nvcc is called by hand: CMake's own CUDA language wants to link and run a program first, which needs a driver library.
# Whole-program compilation, one object a file, machine code for every capability and PTX for later ones.
set(MMREG_NVCC_FLAGS -std=c++17 -O3 -Xcompiler=-fPIC,-fvisibility=hidden,-Wall,-Wextra,-Wno-unknown-pragmas --extended-lambda
                     --expt-relaxed-constexpr -DMMREG_TARGET=cuda -I${CMAKE_SOURCE_DIR}/cpp_ext
                     -Xptxas=-v -Xptxas=--warn-on-spills --threads=0)
foreach(capability ${MMREG_CUDA_SASS})
  list(APPEND MMREG_NVCC_FLAGS -gencode=arch=compute_${capability},code=sm_${capability})
endforeach()
foreach(capability ${MMREG_CUDA_PTX})
  list(APPEND MMREG_NVCC_FLAGS -gencode=arch=compute_${capability},code=compute_${capability})
endforeach()

# A quarter of what the library would take on disk. Drivers know such files from 550 (CUDA 12.4) on.
execute_process(COMMAND ${MMREG_NVCC} --help OUTPUT_VARIABLE nvcc_help)
if(nvcc_help MATCHES "compress-mode")
  list(APPEND MMREG_NVCC_FLAGS --compress-mode=size)
endif()

file(GLOB MMREG_CUDA_HEADERS CONFIGURE_DEPENDS cpp_ext/cuda/*.h cpp_ext/core/*.h cpp_ext/ops/*.h cpp_ext/plugins/tensorrt/*.h)
set(objects)
foreach(source ${MMREG_CUDA_SOURCES} ${CMAKE_SOURCE_DIR}/cpp_ext/ops/memory_pool.cpp)
  get_filename_component(name ${source} NAME)
  set(object ${CMAKE_BINARY_DIR}/cuda/${name}.o)
  # what ptxas says of registers and spills stays beside the object
  add_custom_command(OUTPUT ${object}
                     COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/cuda
                     COMMAND sh -c "\"$@\" 2> '${object}.txt' || { cat '${object}.txt'; exit 1; }" nvcc
                             ${MMREG_NVCC} ${MMREG_NVCC_FLAGS} -c ${source} -o ${object}
                     DEPENDS ${source} ${MMREG_CUDA_HEADERS} VERBATIM)
  list(APPEND objects ${object})
endforeach()
if(SKBUILD)
  set(MMREG_CUDA_LIBRARY ${CMAKE_BINARY_DIR}/libmmreg_cuda.so)
else()  # a developer's build puts it beside the package
  set(MMREG_CUDA_LIBRARY ${CMAKE_SOURCE_DIR}/runtime/mmreg_rt/libmmreg_cuda.so)
endif()
add_custom_command(OUTPUT ${MMREG_CUDA_LIBRARY}
                   COMMAND ${MMREG_NVCC} -shared -cudart=static -Xlinker=--exclude-libs,ALL -o ${MMREG_CUDA_LIBRARY}
                           ${objects}
                   DEPENDS ${objects} VERBATIM)
add_custom_target(mmreg_cuda ALL DEPENDS ${MMREG_CUDA_LIBRARY})
install(FILES ${MMREG_CUDA_LIBRARY} DESTINATION mmreg_rt)

# Kernels for engines of TensorRT: PTX for the oldest capability, which the driver compiles for whichever is there.
if(SKBUILD)
  set(MMREG_AHEAD_PTX ${CMAKE_BINARY_DIR}/warp_ahead.ptx)
else()
  set(MMREG_AHEAD_PTX ${CMAKE_SOURCE_DIR}/runtime/mmreg_rt/warp_ahead.ptx)
endif()
add_custom_command(OUTPUT ${MMREG_AHEAD_PTX}
                   COMMAND ${MMREG_NVCC} -std=c++17 -O3 --expt-relaxed-constexpr -DMMREG_TARGET=cuda
                           -I${CMAKE_SOURCE_DIR}/cpp_ext -arch=compute_75 -ptx ${MMREG_AHEAD_SOURCE} -o ${MMREG_AHEAD_PTX}
                   DEPENDS ${MMREG_AHEAD_SOURCE} ${MMREG_CUDA_HEADERS} VERBATIM)
add_custom_target(mmreg_ahead ALL DEPENDS ${MMREG_AHEAD_PTX})
install(FILES ${MMREG_AHEAD_PTX} DESTINATION mmreg_rt)
