/* Arithmetic that the Cortex-M0 has no instructions for, under the names of the Arm ABI.
 *
 * gcc brings its own; clang's would have to be built first for every core. Division by zero gives
 * zero, as on cores that divide. */
#include <stdint.h>

#if defined(__clang__) && __ARM_ARCH_ISA_THUMB == 1

static uint64_t join(uint32_t high, uint32_t low) { return (uint64_t)high << 32 | low; }

static uint64_t multiply_words(uint32_t a, uint32_t b) {
  const uint32_t low = (a & 0xFFFFu) * (b & 0xFFFFu);
  const uint32_t first = (a >> 16) * (b & 0xFFFFu) + (low >> 16); /* below 2^32 */
  const uint32_t second = (a & 0xFFFFu) * (b >> 16) + (first & 0xFFFFu);
  const uint32_t high = (a >> 16) * (b >> 16) + (first >> 16) + (second >> 16);
  return join(high, second << 16 | (low & 0xFFFFu));
}

uint64_t __aeabi_lmul(uint64_t a, uint64_t b) {
  const uint32_t a_low = (uint32_t)a, b_low = (uint32_t)b;
  const uint32_t cross = (uint32_t)(a >> 32) * b_low + (uint32_t)(b >> 32) * a_low;
  return multiply_words(a_low, b_low) + join(cross, 0);
}

/* The quotient in the low, the remainder in the high word: registers r0 and r1. */
uint64_t __aeabi_uidivmod(uint32_t dividend, uint32_t divisor) {
  uint32_t quotient = 0, remainder = dividend;
  if (divisor == 0) return join(dividend, 0);
  for (int32_t bit = 31; bit >= 0; bit--) {
    if (remainder >> bit >= divisor) {
      remainder -= divisor << bit;
      quotient |= 1u << bit;
    }
  }
  return join(remainder, quotient);
}

static uint32_t magnitude(int32_t value) {
  return value < 0 ? 0u - (uint32_t)value : (uint32_t)value;
}

uint64_t __aeabi_idivmod(int32_t dividend, int32_t divisor) {
  const uint64_t both = __aeabi_uidivmod(magnitude(dividend), magnitude(divisor));
  const uint32_t quotient = (uint32_t)both, remainder = (uint32_t)(both >> 32);
  return join(dividend < 0 ? 0u - remainder : remainder,
              (dividend ^ divisor) < 0 ? 0u - quotient : quotient);
}

uint32_t __aeabi_uidiv(uint32_t dividend, uint32_t divisor) {
  return (uint32_t)__aeabi_uidivmod(dividend, divisor);
}

int32_t __aeabi_idiv(int32_t dividend, int32_t divisor) {
  return (int32_t)(uint32_t)__aeabi_idivmod(dividend, divisor);
}

#endif
