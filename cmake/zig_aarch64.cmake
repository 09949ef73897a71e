# The toolchain of `make cross` where no cross compiler is installed: Zig brings a C++ compiler, the C++ library and the
# interfaces of glibc for AArch64. MMREG_ZIG is the program.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES MMREG_ZIG)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)  # a program needs Zig's C++ library, which takes long to compile
set(CMAKE_CXX_COMPILER ${MMREG_ZIG} c++ -target aarch64-linux-gnu.2.28)
set(CMAKE_CXX_COMPILER_LAUNCHER "")  # Zig has a cache of its own
set(CMAKE_CXX_ARCHIVE_CREATE "${MMREG_ZIG} ar qc <TARGET> <OBJECTS>")
set(CMAKE_CXX_ARCHIVE_FINISH "")
