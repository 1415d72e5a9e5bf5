# find_package(sync_job): the target sync_job::controller for native controllers of pg_sync_job, and a function that makes one.
#
#     find_package(sync_job REQUIRED)
#     sync_job_add_controller(customers customers.cpp)     # a target that builds customers.so
#     install(TARGETS customers LIBRARY DESTINATION ${SYNC_JOB_LIBRARY_DIRECTORY})
#
# SYNC_JOB_LIBRARY_DIRECTORY is where the server looks for it, unless sync_job.library_directory says otherwise.
get_filename_component(SYNC_JOB_INCLUDE_DIRECTORY "${CMAKE_CURRENT_LIST_DIR}/@INCLUDE@" ABSOLUTE)
get_filename_component(SYNC_JOB_LIBRARY_DIRECTORY "${CMAKE_CURRENT_LIST_DIR}/@LIBRARY@" ABSOLUTE)

if(NOT TARGET sync_job::controller)
    add_library(sync_job::controller INTERFACE IMPORTED)
    set_target_properties(sync_job::controller PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${SYNC_JOB_INCLUDE_DIRECTORY}")
    target_compile_features(sync_job::controller INTERFACE cxx_std_20)
endif()

function(sync_job_add_controller name)
    add_library(${name} MODULE ${ARGN})
    target_link_libraries(${name} PRIVATE sync_job::controller)
    # Nothing but the controller leaves the library, so that those of other controllers do not meet it.
    target_link_options(${name} PRIVATE "LINKER:--version-script=${SYNC_JOB_INCLUDE_DIRECTORY}/sync_job/exports.map")
    set_target_properties(${name} PROPERTIES PREFIX "" CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
endfunction()
