/* From reset to main, and what happens on a fault. */
#include "firmware.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define SCB_VTOR REGISTER(0xE000ED08u)
#define SCB_CFSR REGISTER(0xE000ED28u)
#define SCB_BFAR REGISTER(0xE000ED38u)
#define SCB_CPACR REGISTER(0xE000ED88u)
#define STACKED_PC 6 /* word of the exception frame */
#define FRAME_WORDS 8

extern uint32_t firmware_data_start[], firmware_data_end[];
extern const uint32_t firmware_data_load[];
extern uint32_t firmware_bss_start[], firmware_bss_end[];
extern const uint8_t firmware_image_start[], firmware_image_end[];

/* CRC-32 from firmware_image_start to the end; the build writes it here when all is linked. */
__attribute__((section(".checksum"), used)) static const volatile uint32_t firmware_checksum = 0;

void Reset_Handler(void) __attribute__((noreturn));
static void fault_entry(void);
static int image_is_whole(void);

#if __ARM_ARCH_ISA_THUMB == 1
#define SYSTICK_ENTRY cycle_counter_wrapped
#else
#define SYSTICK_ENTRY fault_entry
#endif

/* Every fault has the same handler: which vector a core takes depends on what is enabled. */
__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    firmware_stack_top, Reset_Handler, fault_entry, fault_entry, fault_entry, fault_entry,
    fault_entry,        fault_entry,   fault_entry, fault_entry, fault_entry, fault_entry,
    fault_entry,        fault_entry,   fault_entry, SYSTICK_ENTRY,
};

void Reset_Handler(void) {
  /* A bootloader may leave interrupts pending; faults still come, as HardFault. */
  __asm volatile("cpsid i" ::: "memory");
  SCB_VTOR = (uint32_t)vectors;
#ifdef __ARM_FP
  SCB_CPACR |= 0xFu << 20; /* full access to the FPU, before its first use */
  __asm volatile("dsb\n isb" ::: "memory");
#endif
  const uint32_t *source = firmware_data_load;
  for (uint32_t *word = firmware_data_start; word < firmware_data_end; word++) *word = *source++;
  for (uint32_t *word = firmware_bss_start; word < firmware_bss_end; word++) *word = 0;
  if (firmware_console != CONSOLE_SEMIHOSTING) chip_start();
  record_start();
  firmware_exit(image_is_whole() ? main() : 1);
}

/* Weights, tables and code are what was built. */
static int image_is_whole(void) {
  const uint32_t size = (uint32_t)(firmware_image_end - firmware_image_start);
  const uint32_t crc = firmware_crc32(firmware_image_start, size);
  if (crc == firmware_checksum) return 1;
  record_begin("CORRUPT");
  record_hex("crc", crc);
  record_hex("expected", firmware_checksum);
  record_end();
  return 0;
}

/* The stack pointer may be what is broken, so the report runs on a stack of its own. */
__attribute__((used, aligned(8))) static uint32_t fault_stack[128];

__attribute__((naked)) static void fault_entry(void) {
  __asm volatile(
      "mov r0, sp\n"
      "ldr r1, =fault_stack + 512\n"
      "mov sp, r1\n"
      "ldr r1, =fault_report\n"
      "bx r1\n"
      ".ltorg\n");
}

__attribute__((used)) static void fault_report(const uint32_t *frame) {
  uint32_t exception;
  __asm volatile("mrs %0, ipsr" : "=r"(exception));
  const int readable =
      frame >= firmware_stack_bottom && frame + FRAME_WORDS <= firmware_stack_top;
  record_begin("FAULT");
  record_integer("exception", (int32_t)exception);
  record_hex("cfsr", SCB_CFSR);
  record_hex("address", SCB_BFAR);
  record_hex("pc", readable ? frame[STACKED_PC] : 0);
  record_integer("subnet", firmware_subnet);
  record_end();
  firmware_exit(1);
}
