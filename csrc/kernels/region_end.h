// Closes the target region that region_<isa>.h opened. No include guard: one per region.
#if defined(RUSTTORCH_REGION_OPEN)
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
#undef RUSTTORCH_REGION_OPEN
