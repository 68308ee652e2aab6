include(CheckCCompilerFlag)
check_c_compiler_flag(-ftrivial-auto-var-init=zero HAVE_AUTO_VAR_INIT) # clang < 16 wants a second flag

# Warnings, hardening and sanitizers for everything of ours (flightpath_flags).
add_library(flightpath_flags INTERFACE)
target_compile_definitions(flightpath_flags INTERFACE _GNU_SOURCE FLIGHTPATH_VERSION="${PROJECT_VERSION}")
target_compile_options(flightpath_flags INTERFACE
  -Wall -Wextra -Wformat=2 -Wshadow -Wvla -Wundef -Wimplicit-fallthrough
  $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes -Werror=implicit
    -Werror=incompatible-pointer-types -Werror=int-conversion>
  -ffp-contract=off -fno-strict-aliasing -fno-delete-null-pointer-checks
  -fno-omit-frame-pointer -fvisibility=hidden "-ffile-prefix-map=${CMAKE_SOURCE_DIR}/=")
if(FLIGHTPATH_WERROR)
  target_compile_options(flightpath_flags INTERFACE -Werror)
endif()

if(FLIGHTPATH_SANITIZE STREQUAL "address")
  target_compile_options(flightpath_flags INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=undefined)
  target_link_options(flightpath_flags INTERFACE -fsanitize=address,undefined)
elseif(FLIGHTPATH_SANITIZE STREQUAL "thread")
  target_compile_options(flightpath_flags INTERFACE -fsanitize=thread)
  target_link_options(flightpath_flags INTERFACE -fsanitize=thread)
elseif(NOT FLIGHTPATH_SANITIZE STREQUAL "")
  message(FATAL_ERROR "FLIGHTPATH_SANITIZE must be empty, 'address' or 'thread'")
else()
  target_compile_options(flightpath_flags INTERFACE -fstack-protector-strong -fstack-clash-protection
    $<$<BOOL:${HAVE_AUTO_VAR_INIT}>:-ftrivial-auto-var-init=zero> $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2>)
  if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
    target_compile_options(flightpath_flags INTERFACE -fcf-protection=full)
  elseif(CMAKE_SYSTEM_PROCESSOR STREQUAL "aarch64")
    target_compile_options(flightpath_flags INTERFACE -mbranch-protection=standard)
  endif()
endif()
target_link_options(flightpath_flags INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed)

if(FLIGHTPATH_COVERAGE)
  target_compile_options(flightpath_flags INTERFACE --coverage)
  target_link_options(flightpath_flags INTERFACE --coverage)
endif()
if(FLIGHTPATH_FAULT_POINTS)
  target_compile_definitions(flightpath_flags INTERFACE FLIGHTPATH_FAULT_POINTS)
endif()
