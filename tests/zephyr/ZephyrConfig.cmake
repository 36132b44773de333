# Just enough of Zephyr: `app` is a program of this host; modules are added before the application's
# own lines, with the symbols of prj.conf set, as cmake/modules/zephyr_module.cmake does.
project(Zephyr-Kernel LANGUAGES C CXX)

add_library(zephyr_interface INTERFACE)
target_include_directories(zephyr_interface INTERFACE ${CMAKE_CURRENT_LIST_DIR}/include)
target_compile_definitions(zephyr_interface INTERFACE __ZEPHYR__=1)
if(TFLM_DECLARATIONS)
  target_include_directories(zephyr_interface INTERFACE ${TFLM_DECLARATIONS})
  target_compile_definitions(zephyr_interface INTERFACE REDS_TFLM_ABI=1)
endif()

file(STRINGS ${CMAKE_CURRENT_SOURCE_DIR}/prj.conf symbols REGEX "=y$")
foreach(symbol IN LISTS symbols)
  string(REPLACE "=y" "" symbol ${symbol})
  set(${symbol} y)
endforeach()

add_executable(app)
target_link_libraries(app PRIVATE zephyr_interface)
foreach(module IN LISTS ZEPHYR_EXTRA_MODULES)
  file(STRINGS ${module}/zephyr/module.yml cmake REGEX "^  cmake: ")
  string(REPLACE "  cmake: " "" cmake ${cmake})
  add_subdirectory(${module}/${cmake} module)
endforeach()
