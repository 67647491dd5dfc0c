# Warnings, and the hardening that Debian builds its own packages with. They stand before the user's CFLAGS, so that a flag of
# the user wins, and -Werror is there only with KEMIBUS_WERROR.
include(CheckCCompilerFlag)
include(CheckCSourceCompiles)
include(CheckLinkerFlag)

option(KEMIBUS_WERROR "warnings are errors" OFF)
option(KEMIBUS_HARDENING "stack protector, _FORTIFY_SOURCE, relro and their like, as far as the compiler has them" ON)

# Appends flags to what result names, those that the compiler knows.
function(kemibus_known_flags result)
  set(known ${${result}})
  foreach(flag ${ARGN})
    string(MAKE_C_IDENTIFIER KEMIBUS_HAS${flag} has)
    check_c_compiler_flag(${flag} ${has})
    if(${has})
      list(APPEND known ${flag})
    endif()
  endforeach()
  set(${result} ${known} PARENT_SCOPE)
endfunction()

# _FORTIFY_SOURCE warns without optimisation, and when it is defined twice: by us and by the user, or the compiler itself.
function(kemibus_fortify_wanted result)
  string(TOUPPER "${CMAKE_BUILD_TYPE}" config)
  set(CMAKE_REQUIRED_FLAGS "${CMAKE_C_FLAGS_${config}}")
  unset(KEMIBUS_FORTIFY_WANTED CACHE) # the flags may be others than last time
  check_c_source_compiles("
    #if !defined __OPTIMIZE__ || defined _FORTIFY_SOURCE
    #error
    #endif
    int main(void) { return 0; }" KEMIBUS_FORTIFY_WANTED)
  set(${result} ${KEMIBUS_FORTIFY_WANTED} PARENT_SCOPE)
endfunction()

function(kemibus_harden)
  kemibus_known_flags(flags -fstack-protector-strong -fstack-clash-protection -fcf-protection)
  kemibus_fortify_wanted(fortify)
  if(fortify)
    list(APPEND flags -D_FORTIFY_SOURCE=2)
  endif()
  foreach(keyword relro now)
    check_linker_flag(C -Wl,-z,${keyword} KEMIBUS_LINKER_HAS_${keyword})
    if(KEMIBUS_LINKER_HAS_${keyword})
      add_link_options(-Wl,-z,${keyword})
    endif()
  endforeach()
  set(hardening ${flags} PARENT_SCOPE)
endfunction()

set(hardening)
# The sanitizers' runtimes see more of what is not fortified.
if(KEMIBUS_HARDENING AND NOT KEMIBUS_SANITIZE AND NOT KEMIBUS_FUZZ)
  kemibus_harden()
endif()
set(warnings -Wall -Wextra -Wformat-security)
if(KEMIBUS_WERROR)
  list(APPEND warnings -Werror)
endif()
list(JOIN warnings " " warnings)
list(JOIN hardening " " hardening)
string(STRIP "${warnings} ${hardening} ${CMAKE_C_FLAGS}" CMAKE_C_FLAGS)
