/* The functions that compilers call on their own; no C library is linked. */
#include <stddef.h>
#include <stdint.h>

/* Compilers turn loops that copy into calls of the very function that they implement; an empty
 * instruction that may touch memory prevents it. */
#define KEEP_LOOP() __asm volatile("" ::: "memory")

#ifdef __ARM_FEATURE_UNALIGNED
#define ADDRESS_BITS 0u
#else
#define ADDRESS_BITS 3u /* words must be aligned */
#endif

typedef uint32_t __attribute__((aligned(1), may_alias)) word;

__attribute__((noinline)) static void copy(uint8_t *to, const uint8_t *from, size_t size) {
  if ((((uintptr_t)to | (uintptr_t)from) & ADDRESS_BITS) == 0) {
    for (; size >= 4; size -= 4, to += 4, from += 4) {
      *(word *)to = *(const word *)from;
      KEEP_LOOP();
    }
  }
  for (; size > 0; size--) {
    *to++ = *from++;
    KEEP_LOOP();
  }
}

__attribute__((noinline)) static void copy_backwards(uint8_t *to, const uint8_t *from,
                                                     size_t size) {
  while (size-- > 0) {
    to[size] = from[size];
    KEEP_LOOP();
  }
}

__attribute__((noinline)) static void fill(uint8_t *to, size_t size, uint32_t value) {
  const uint32_t pattern = 0x01010101u * (value & 0xFFu);
  if (((uintptr_t)to & ADDRESS_BITS) == 0) {
    for (; size >= 4; size -= 4, to += 4) {
      *(word *)to = pattern;
      KEEP_LOOP();
    }
  }
  for (; size > 0; size--) {
    *to++ = (uint8_t)value;
    KEEP_LOOP();
  }
}

void *memcpy(void *restrict to, const void *restrict from, size_t size) {
  copy(to, from, size);
  return to;
}

void *memmove(void *to, const void *from, size_t size) {
  if ((uintptr_t)to - (uintptr_t)from >= size) {
    copy(to, from, size);
  } else {
    copy_backwards(to, from, size);
  }
  return to;
}

void *memset(void *to, int value, size_t size) {
  fill(to, size, (uint32_t)value);
  return to;
}

int memcmp(const void *a, const void *b, size_t size) {
  const uint8_t *left = a, *right = b;
  for (; size > 0; size--, left++, right++) {
    if (*left != *right) return *left - *right;
    KEEP_LOOP();
  }
  return 0;
}

/* The names of the Arm ABI; memset's arguments are in another order there. */
void __aeabi_memset(void *to, size_t size, int value) { fill(to, size, (uint32_t)value); }
void __aeabi_memclr(void *to, size_t size) { fill(to, size, 0); }

#define ALIAS(name) __attribute__((alias(#name)))
ALIAS(memcpy) void *__aeabi_memcpy(void *, const void *, size_t);
ALIAS(memcpy) void *__aeabi_memcpy4(void *, const void *, size_t);
ALIAS(memcpy) void *__aeabi_memcpy8(void *, const void *, size_t);
ALIAS(memmove) void *__aeabi_memmove(void *, const void *, size_t);
ALIAS(memmove) void *__aeabi_memmove4(void *, const void *, size_t);
ALIAS(memmove) void *__aeabi_memmove8(void *, const void *, size_t);
ALIAS(__aeabi_memset) void __aeabi_memset4(void *, size_t, int);
ALIAS(__aeabi_memset) void __aeabi_memset8(void *, size_t, int);
ALIAS(__aeabi_memclr) void __aeabi_memclr4(void *, size_t);
ALIAS(__aeabi_memclr) void __aeabi_memclr8(void *, size_t);
