# Just enough of ESP-IDF: components are libraries of this host. What idf_component_register takes,
# and that it sets COMPONENT_LIB, is as in ESP-IDF's tools/cmake/component.cmake.
set(IDF_STAND_IN ${CMAKE_CURRENT_LIST_DIR}/../..)

function(idf_component_register)
  set(lists SRCS SRC_DIRS EXCLUDE_SRCS INCLUDE_DIRS PRIV_INCLUDE_DIRS LDFRAGMENTS REQUIRES
    PRIV_REQUIRES REQUIRED_IDF_TARGETS EMBED_FILES EMBED_TXTFILES)
  cmake_parse_arguments(ARG "WHOLE_ARCHIVE" "KCONFIG;KCONFIG_PROJBUILD" "${lists}" ${ARGN})
  if(ARG_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "idf_component_register does not know ${ARG_UNPARSED_ARGUMENTS}")
  endif()
  get_filename_component(name ${CMAKE_CURRENT_SOURCE_DIR} NAME)
  add_library(__idf_${name} STATIC ${ARG_SRCS})
  target_include_directories(__idf_${name} PUBLIC ${ARG_INCLUDE_DIRS})
  foreach(required IN LISTS ARG_REQUIRES)
    target_link_libraries(__idf_${name} PUBLIC __idf_${required})
  endforeach()
  set(COMPONENT_LIB __idf_${name} PARENT_SCOPE)
endfunction()

# COMPONENT: the folder that the component manager would find.
macro(project name)
  _project(${name} LANGUAGES C CXX)
  add_library(__idf_esp_timer INTERFACE)
  target_include_directories(__idf_esp_timer INTERFACE ${IDF_STAND_IN}/include)
  add_library(__idf_esp-tflite-micro INTERFACE)
  target_include_directories(__idf_esp-tflite-micro INTERFACE ${TFLM_DECLARATIONS})
  target_compile_definitions(__idf_esp-tflite-micro INTERFACE TF_LITE_STATIC_MEMORY REDS_TFLM_ABI=1)
  add_subdirectory(${COMPONENT} component)
  add_subdirectory(main)
  add_executable(${name} ${IDF_STAND_IN}/start.c)
  target_link_libraries(${name} PRIVATE __idf_main)
endmacro()
