# find_package(mmreg 0.1 CONFIG REQUIRED), then target_link_libraries(program PRIVATE mmreg::mmreg).
include(${CMAKE_CURRENT_LIST_DIR}/mmregTargets.cmake)
