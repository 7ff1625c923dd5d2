# The longest tests start first, so that no core waits for them at the end: under emulation one takes half of the time.
foreach(test IN LISTS torchext_tests_TESTS)
  if(test MATCHES "^MathFloat|EveryPairOfRows|EverySizeTo")
    set_tests_properties("${test}" PROPERTIES COST 100)
  endif()
endforeach()
