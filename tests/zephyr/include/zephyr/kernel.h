/* As declared by Zephyr's kernel.h and sys/time_units.h; cycles are those of clock(). */
#pragma once
#include <stdint.h>
#include <time.h>

static inline uint32_t k_cycle_get_32(void) { return (uint32_t)clock(); }
static inline uint32_t k_cyc_to_us_floor32(uint32_t cycles) {
  return (uint32_t)((uint64_t)cycles * 1000000u / CLOCKS_PER_SEC);
}
