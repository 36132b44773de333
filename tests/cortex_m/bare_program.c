/* A whole image of its own: prints and exits by semihosting; its functions are also called singly. */
#include <stdint.h>

#define SYS_WRITE0 0x04u
#define SYS_EXIT_EXTENDED 0x20u
#define STOPPED_APPLICATION_EXIT 0x20026u

static void semihost(uint32_t operation, const void *argument) {
  register uint32_t r0 __asm("r0") = operation;
  register const void *r1 __asm("r1") = argument;
  __asm volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
}

void greet(void) { semihost(SYS_WRITE0, "it runs\n"); }

void start(void) {
  greet();
  const uint32_t reason[2] = {STOPPED_APPLICATION_EXIT, 7};
  semihost(SYS_EXIT_EXTENDED, reason);
}

/* 3 instructions a turn in every compiler: no other way is shorter. */
__attribute__((naked)) int32_t count_down(int32_t turns) {
  __asm volatile(
      ".syntax unified\n" /* gcc assembles for a Cortex-M0 in an older one */
      "1: nop\n"
      "subs r0, r0, #1\n"
      "bne 1b\n"
      "bx lr\n");
}

int32_t weigh(int32_t a, int32_t b, int32_t c, int32_t d, int32_t e, int32_t f) {
  return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f;
}

int32_t call_twice(int32_t turns) { return count_down(turns) + count_down(2 * turns); }

void loop_forever(void) {
  for (;;) {
  }
}

int32_t read_nowhere(void) { return *(volatile int32_t *)0xF0000000u; }

void overflow_the_stack(void) {
  volatile int32_t block[1024];
  block[0] = 1;
  overflow_the_stack();
  block[1] = 2; /* not a tail call */
}

void undefined_instruction(void) { __asm volatile("udf #0"); }
