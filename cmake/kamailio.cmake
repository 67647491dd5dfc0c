# Kamailio's headers and the compiler flags that its core compares when it loads a module.
#
# -DKAMAILIO_SRC=DIR names an unpacked source tree of the very version that is installed; without it cmake/fetch-kamailio-headers
# gets the source package through apt. Nothing of the tree but its headers is used.
function(kemibus_kamailio_headers)
  if(NOT KAMAILIO_SRC)
    set(dir ${CMAKE_SOURCE_DIR}/.kamailio-src)
    execute_process(COMMAND ${CMAKE_SOURCE_DIR}/cmake/fetch-kamailio-headers ${dir} RESULT_VARIABLE failed)
    if(failed)
      message(FATAL_ERROR "no Kamailio headers: the lines above say why; or name a source tree with -DKAMAILIO_SRC=DIR")
    endif()
    set(KAMAILIO_SRC ${dir})
  endif()
  if(NOT EXISTS ${KAMAILIO_SRC}/src/core/sr_module.h)
    message(FATAL_ERROR "KAMAILIO_SRC=${KAMAILIO_SRC} has no src/core/sr_module.h: name the top folder of a Kamailio source tree")
  endif()
  # Its makefiles write beside themselves, and the tree may be shared, or read-only.
  set(copy ${CMAKE_BINARY_DIR}/kamailio)
  file(GLOB makefiles ${KAMAILIO_SRC}/src/Makefile*)
  file(REMOVE_RECURSE ${copy})
  file(COPY ${makefiles} DESTINATION ${copy})
  # CMake sets CC when it configures for the first time; the defines are those of the packaged core, which gcc has built.
  set(make ${CMAKE_COMMAND} -E env --unset=CC make -s)
  execute_process(COMMAND ${make} -C ${copy} cfg FLAVOUR=kamailio RESULT_VARIABLE failed OUTPUT_QUIET)
  if(NOT failed)
    execute_process(COMMAND ${make} -C ${copy} printcdefs RESULT_VARIABLE failed OUTPUT_VARIABLE defines)
  endif()
  if(failed)
    message(FATAL_ERROR "Kamailio's own build does not print its defines: apt-get install make gcc bison flex")
  endif()
  # The packaged server shares mutexes between processes for TLS; printcdefs leaves this one to the tls build.
  # Their quotes belong to the values, so they are split by form, not as a shell would.
  string(REGEX MATCHALL "-D[A-Za-z0-9_]+(=(\"[^\"]*\"|[^ \"\n]*))?" defines "${defines} -DKSR_PTHREAD_MUTEX_SHARED")
  add_library(kamailio_headers INTERFACE)
  target_include_directories(kamailio_headers SYSTEM INTERFACE ${KAMAILIO_SRC}/src)
  target_compile_options(kamailio_headers INTERFACE ${defines})
endfunction()
