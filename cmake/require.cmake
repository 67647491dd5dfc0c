# A missing package stops the configuration with one line that says what to install.
find_package(PkgConfig)
if(NOT PKG_CONFIG_FOUND)
  message(FATAL_ERROR "pkg-config is missing: apt-get install pkg-config")
endif()

function(kemibus_require_pkg name debian_package)
  pkg_check_modules(${name} QUIET IMPORTED_TARGET GLOBAL ${name})
  if(NOT ${name}_FOUND)
    message(FATAL_ERROR "the library ${name} is missing: apt-get install ${debian_package}")
  endif()
endfunction()

# For what only some programs of spec/ need: those are left out without it, and the output says so.
function(kemibus_find_pkg name debian_package what)
  pkg_check_modules(${name} QUIET IMPORTED_TARGET GLOBAL ${name})
  if(NOT ${name}_FOUND)
    message(STATUS "not built without ${debian_package}: ${what}")
  endif()
endfunction()
