/* Counts the core's cycles: by the DWT unit, or by SysTick on cores that have no such counter. */
#include "firmware.h"
#include "registers.h"

#if __ARM_ARCH_ISA_THUMB == 1

/* SysTick counts 24 bits down; its exception counts how often they were used up. */
#define SYSTICK_CTRL 0xE000E010u
#define SYSTICK_LOAD 0xE000E014u
#define SYSTICK_VALUE 0xE000E018u
#define NVIC_DISABLE 0xE000E180u
#define LOAD_24_BITS 0xFFFFFFu
#define CORE_CLOCK_INTERRUPT 7u /* enable, interrupt, the core's clock */

volatile uint32_t cycle_counter_wraps;

void cycle_counter_wrapped(void) { cycle_counter_wraps++; }

void cycle_counter_start(void) {
  cycle_counter_wraps = 0;
  REGISTER(NVIC_DISABLE, 0) = 0xFFFFFFFFu; /* no other interrupt may come */
  REGISTER(SYSTICK_LOAD, 0) = LOAD_24_BITS;
  REGISTER(SYSTICK_VALUE, 0) = 0;
  REGISTER(SYSTICK_CTRL, 0) = CORE_CLOCK_INTERRUPT;
  __asm volatile("cpsie i" ::: "memory");
}

void cycle_counter_stop(void) {
  REGISTER(SYSTICK_CTRL, 0) = 0;
  __asm volatile("cpsid i" ::: "memory");
}

/* Reads again when the counter was used up in between. */
uint32_t cycle_counter_read(void) {
  uint32_t wraps, value;
  do {
    wraps = cycle_counter_wraps;
    value = REGISTER(SYSTICK_VALUE, 0);
  } while (wraps != cycle_counter_wraps);
  return (wraps << 24) + (LOAD_24_BITS - value);
}

#else

#define DEMCR 0xE000EDFCu
#define TRACE_ENABLE (1u << 24)
#define DWT_CTRL 0xE0001000u
#define DWT_CYCCNT 0xE0001004u
#define DWT_LAR 0xE0001FB0u /* the Cortex-M7 has a lock; others ignore it */
#define UNLOCK 0xC5ACCE55u

void cycle_counter_start(void) {
  set_bits(DEMCR, TRACE_ENABLE);
  REGISTER(DWT_LAR, 0) = UNLOCK;
  set_bits(DWT_CTRL, 1);
}

void cycle_counter_stop(void) {}

uint32_t cycle_counter_read(void) { return REGISTER(DWT_CYCCNT, 0); }

#endif
