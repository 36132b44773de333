/* The four functions that compilers call on their own; no C library is linked. */
#include <stddef.h>
#include <stdint.h>

/* An empty instruction that touches memory: keeps the compiler from turning the loop into a call
 * of the very function that it implements. */
#define KEEP_LOOP() __asm volatile("" ::: "memory")

#ifdef __ARM_FEATURE_UNALIGNED
#define WORDS_MAY_BE_UNALIGNED 1
#else
#define WORDS_MAY_BE_UNALIGNED 0
#endif

typedef uint32_t __attribute__((aligned(1), may_alias)) word;

static int words_fit(const void *a, const void *b) {
  return WORDS_MAY_BE_UNALIGNED || (((uintptr_t)a | (uintptr_t)b) & 3u) == 0;
}

void *memcpy(void *restrict target, const void *restrict source, size_t size) {
  uint8_t *to = target;
  const uint8_t *from = source;
  if (words_fit(to, from)) {
    for (; size >= 4; size -= 4, to += 4, from += 4) {
      *(word *)to = *(const word *)from;
      KEEP_LOOP();
    }
  }
  while (size-- > 0) {
    *to++ = *from++;
    KEEP_LOOP();
  }
  return target;
}

void *memmove(void *target, const void *source, size_t size) {
  uint8_t *to = target;
  const uint8_t *from = source;
  if (to <= from || to >= from + size) return memcpy(target, source, size);
  while (size-- > 0) {
    to[size] = from[size];
    KEEP_LOOP();
  }
  return target;
}

void *memset(void *target, int value, size_t size) {
  uint8_t *to = target;
  const uint32_t pattern = 0x01010101u * (uint8_t)value;
  if (words_fit(to, to)) {
    for (; size >= 4; size -= 4, to += 4) {
      *(word *)to = pattern;
      KEEP_LOOP();
    }
  }
  while (size-- > 0) {
    *to++ = (uint8_t)value;
    KEEP_LOOP();
  }
  return target;
}

int memcmp(const void *a, const void *b, size_t size) {
  const uint8_t *left = a, *right = b;
  for (; size > 0; size--, left++, right++) {
    if (*left != *right) return *left - *right;
    KEEP_LOOP();
  }
  return 0;
}

/* The names that the Arm ABI prescribes; memset's arguments are in another order there. */
void __aeabi_memcpy(void *target, const void *source, size_t size) { memcpy(target, source, size); }
void __aeabi_memmove(void *target, const void *source, size_t size) {
  memmove(target, source, size);
}
void __aeabi_memset(void *target, size_t size, int value) { memset(target, value, size); }
void __aeabi_memclr(void *target, size_t size) { memset(target, 0, size); }

#define ALIAS(name) __attribute__((alias(#name)))
ALIAS(__aeabi_memcpy) void __aeabi_memcpy4(void *, const void *, size_t);
ALIAS(__aeabi_memcpy) void __aeabi_memcpy8(void *, const void *, size_t);
ALIAS(__aeabi_memset) void __aeabi_memset4(void *, size_t, int);
ALIAS(__aeabi_memset) void __aeabi_memset8(void *, size_t, int);
ALIAS(__aeabi_memclr) void __aeabi_memclr4(void *, size_t);
ALIAS(__aeabi_memclr) void __aeabi_memclr8(void *, size_t);
