/* What the compiler may call although no C library is linked. Every function has the loop itself:
 * clang turns a call of memcpy into one of __aeabi_memcpy. */
#include <stddef.h>
#include <stdint.h>

/* Keeps the compiler from recognising the loop as memcpy or memset. */
#define HIDE_LOOP() __asm__ volatile("" ::: "memory")

static inline void copy(uint8_t *target, const uint8_t *source, size_t size) {
  for (; size > 0; --size) {
    *target++ = *source++;
    HIDE_LOOP();
  }
}

static inline void fill(uint8_t *target, size_t size, int value) {
  for (; size > 0; --size) {
    *target++ = (uint8_t)value;
    HIDE_LOOP();
  }
}

void *memcpy(void *target, const void *source, size_t size) {
  copy(target, source, size);
  return target;
}

void *memset(void *target, int value, size_t size) {
  fill(target, size, value);
  return target;
}

void __aeabi_memcpy(void *target, const void *source, size_t size) { copy(target, source, size); }
void __aeabi_memcpy4(void *target, const void *source, size_t size) { copy(target, source, size); }
void __aeabi_memcpy8(void *target, const void *source, size_t size) { copy(target, source, size); }
void __aeabi_memset(void *target, size_t size, int value) { fill(target, size, value); }
void __aeabi_memset4(void *target, size_t size, int value) { fill(target, size, value); }
void __aeabi_memset8(void *target, size_t size, int value) { fill(target, size, value); }
void __aeabi_memclr(void *target, size_t size) { fill(target, size, 0); }
void __aeabi_memclr4(void *target, size_t size) { fill(target, size, 0); }
void __aeabi_memclr8(void *target, size_t size) { fill(target, size, 0); }

/* What startup code does before main. */
void reds_test_start(void) {
#ifdef __ARM_FP
  *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20; /* CPACR: access to the FPU and MVE */
  __asm__ volatile("dsb\n isb" ::: "memory");
#endif
}

void reds_test_stop(void) {}
