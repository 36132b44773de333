/* Registers of peripherals, for the files chip_*.c. */
#ifndef REGISTERS_H_
#define REGISTERS_H_

#include <stdint.h>

#define REGISTER(base, offset) (*(volatile uint32_t *)((base) + (offset)))
#define READY_POLLS 20000

/* Waits until all bits of `mask` are set, but not for ever: a board whose crystal or PLL fails
 * still runs, on the clock that it had. */
static inline void wait_ready(uint32_t address, uint32_t mask) {
  for (int32_t i = 0; i < READY_POLLS && (REGISTER(address, 0) & mask) != mask; i++) {
  }
}

static inline void set_bits(uint32_t address, uint32_t bits) { REGISTER(address, 0) |= bits; }

static inline void set_field(uint32_t address, uint32_t mask, uint32_t value) {
  REGISTER(address, 0) = (REGISTER(address, 0) & ~mask) | value;
}

#endif /* REGISTERS_H_ */
