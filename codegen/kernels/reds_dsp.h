/* The DSP instructions of ARMv7E-M and ARMv8-M as inline assembly: the ACLE intrinsics that would
 * do the same are missing from the GCC 7 of the Arduino cores. Not public.
 *
 * A "pair" is two int16 in one register. SXTB16 widens bytes 0 and 2 of a word, SXTB16 with ROR #8
 * bytes 1 and 3; data and weights pair their bytes in the same way, so the order does not
 * matter. */
#ifndef REDS_DSP_H_
#define REDS_DSP_H_

#include <stdint.h>

/* Four bytes from any address: one LDR, which these cores allow to be unaligned. */
static inline uint32_t reds_load_word(const int8_t *source) {
  uint32_t word;
  __builtin_memcpy(&word, source, sizeof word);
  return word;
}

static inline uint32_t reds_even_bytes(uint32_t word) {
  uint32_t pair;
  __asm__("sxtb16 %0, %1" : "=r"(pair) : "r"(word));
  return pair;
}

static inline uint32_t reds_odd_bytes(uint32_t word) {
  uint32_t pair;
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(word));
  return pair;
}

/* The even (odd) bytes of `word`, each plus the int16 of `offsets` in the same half. */
static inline uint32_t reds_add_even_bytes(uint32_t offsets, uint32_t word) {
  uint32_t pair;
  __asm__("sxtab16 %0, %1, %2" : "=&r"(pair) : "r"(offsets), "r"(word));
  return pair;
}

static inline uint32_t reds_add_odd_bytes(uint32_t offsets, uint32_t word) {
  uint32_t pair;
  __asm__("sxtab16 %0, %1, %2, ror #8" : "=&r"(pair) : "r"(offsets), "r"(word));
  return pair;
}

/* The low halves of two values as a pair. */
static inline uint32_t reds_pair(int32_t low, int32_t high) {
  uint32_t pair;
  __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(pair) : "r"(low), "r"(high));
  return pair;
}

/* sum + low a * low b + high a * high b */
static inline int32_t reds_multiply_pairs(uint32_t a, uint32_t b, int32_t sum) {
  __asm__("smlad %0, %1, %2, %0" : "+r"(sum) : "r"(a), "r"(b));
  return sum;
}

static inline int32_t reds_multiply_low(uint32_t a, uint32_t b, int32_t sum) {
  __asm__("smlabb %0, %1, %2, %0" : "+r"(sum) : "r"(a), "r"(b));
  return sum;
}

static inline int32_t reds_multiply_high(uint32_t a, uint32_t b, int32_t sum) {
  __asm__("smlatt %0, %1, %2, %0" : "+r"(sum) : "r"(a), "r"(b));
  return sum;
}

/* (value * multiplier + 2^30) >> 31 for a multiplier in [2^30, 2^31): doubled, it reads as
 * 2 * multiplier - 2^32, and the accumulator value * 2^32 makes up for the difference. */
static inline int32_t reds_rounding_high_multiply(int32_t value, int32_t multiplier) {
  int32_t high;
  __asm__("smmlar %0, %1, %2, %1" : "=r"(high) : "r"(value), "r"((uint32_t)multiplier << 1));
  return high;
}

/* base + value / 2^exponent, rounded half up; exponent 1 .. 31: the carry is the last bit shifted
 * out. */
static inline int32_t reds_add_shifted(int32_t base, int32_t value, int32_t exponent) {
  int32_t result;
  __asm__("asrs %0, %1, %2\n\tadc %0, %0, %3"
          : "=&r"(result)
          : "r"(value), "r"(exponent), "rI"(base)
          : "cc");
  return result;
}

/* The nearest int8. */
static inline int32_t reds_saturate(int32_t value) {
  __asm__("ssat %0, #8, %0" : "+r"(value));
  return value;
}

#endif /* REDS_DSP_H_ */
