/* What goes wrong on purpose: the test writes the number of a function below into `fault`, and the
 * second op of the tiny model calls it while the subnet runs. */
#include <stdint.h>

volatile int32_t fault = -1;
static volatile uint32_t words[4];
static volatile uint32_t *volatile target; /* so that the compiler does not see what it points to */

#define FAULT __attribute__((noinline)) static void
#define CPACR (*(volatile uint32_t *)0xE000ED88u)

FAULT stack_overflow(void) {
  volatile uint8_t frame[8192];
  for (int32_t i = 8191; i >= 0; i--) frame[i] = 1;
}

FAULT write_to_flash(void) {
  extern uint32_t firmware_data_load[];
  target = firmware_data_load;
  *target = 1;
}

FAULT write_to_null(void) {
  target = 0;
  *target = 1;
}

FAULT write_behind_ram(void) {
  const uintptr_t end = __ARM_ARCH_ISA_THUMB == 1 ? 0x20042000u : 0x20040000u; /* of the boards */
  *(volatile uint32_t *)end = 1;
}

FAULT wild_read(void) { (void)*(volatile uint32_t *)0x90000000u; }

FAULT wild_write(void) { *(volatile uint32_t *)0x90000000u = 1; }

FAULT wild_jump(void) { ((void (*)(void))0x90000001u)(); }

FAULT jump_to_data(void) { ((void (*)(void))((uintptr_t)words | 1u))(); }

FAULT endless_loop(void) {
  for (;;) __asm volatile("");
}

FAULT unaligned_word(void) {
  __asm volatile("ldr r2, [%0]" : : "r"((uintptr_t)words + 2) : "r2", "memory");
}

FAULT unaligned_multiple(void) {
  __asm volatile("ldmia %0!, {r2, r3}" : : "r"((uintptr_t)words + 2) : "r2", "r3", "memory");
}

FAULT fpu_off(void) {
#ifdef __ARM_FP
  CPACR = 0;
  __asm volatile("dsb\n isb\n vadd.f32 s0, s0, s0" ::: "memory", "s0");
#endif
}

FAULT undefined_instruction(void) { __asm volatile("udf #0"); }

FAULT breakpoint(void) { __asm volatile("bkpt 1"); }

void raise_fault(void) {
  static void (*const functions[])(void) = {
      stack_overflow, write_to_flash,     write_to_null, write_behind_ram, wild_read,             wild_write,
      wild_jump,      jump_to_data,       endless_loop,  unaligned_word,        unaligned_multiple,
      fpu_off,        undefined_instruction, breakpoint,
  };
  if (fault >= 0) functions[fault]();
}
