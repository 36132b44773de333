/* RP2040 at 125 MHz from the board's crystal of 12 MHz; code in flash, UART by polling.
 *
 * Its ROM copies the first 256 bytes of flash to RAM, checks their CRC-32, and jumps there: this
 * second stage makes the flash readable at 0x10000000 and starts the image behind it. */
#include "board.h"
#include "firmware.h"
#include "registers.h"

#define RESETS_RESET 0x0u
#define RESETS_DONE 0x8u
#define USED_PARTS (1u << 5 | 1u << 8 | 1u << 12 | 1u << 22) /* IO, pads, system PLL, UART0 */
#define XOSC_CTRL 0x00u
#define XOSC_STATUS 0x04u
#define XOSC_STARTUP 0x0Cu
#define XOSC_ON (0xFABu << 12 | 0xAA0u) /* enable; 1 to 15 MHz */
#define XOSC_DELAY 47u                  /* times 256 periods: 1 ms */
#define STABLE (1u << 31)
#define CLK_REF_CTRL 0x30u
#define CLK_REF_SELECTED 0x38u
#define CLK_SYS_CTRL 0x3Cu
#define CLK_SYS_SELECTED 0x44u
#define CLK_PERI_CTRL 0x48u
#define REF_XOSC 2u
#define SYS_PLL 1u
#define PERI_ON (1u << 11)
#define PLL_CS 0x0u
#define PLL_PWR 0x4u
#define PLL_FBDIV 0x8u
#define PLL_PRIM 0xCu
#define PLL_VCO_OFF (1u << 0 | 1u << 5)
#define PLL_OUTPUT_OFF (1u << 3)
#define PLL_DIVIDE_12 (6u << 16 | 2u << 12) /* 12 MHz * 125 / 6 / 2 = 125 MHz */
#define UART_DR 0x00u
#define UART_FR 0x18u
#define UART_IBRD 0x24u
#define UART_FBRD 0x28u
#define UART_LCR 0x2Cu
#define UART_CR 0x30u
#define TX_FULL (1u << 5)
#define WORD_8_BITS_FIFO (3u << 5 | 1u << 4)
#define UART_TX_ON (1u << 0 | 1u << 8)
#define GPIO_FUNCTION_UART 2u
#define GPIO_CTRL(pin) (4u + 8u * (pin))
#define BAUD_DIVIDER_64 ((4u * BOARD_CLOCK_HZ + 115200u / 2) / 115200u) /* 64ths of clock / 16 */

/* Registers of the flash interface, by the data sheet's section 4.10: serial reads by the command
 * 03h, which every flash chip knows, at a quarter of the system clock. Then, as the core does at
 * reset: stack pointer and entry from the image's vector table. The CRC covers all 252 bytes before
 * it; a test computes it again. */
_Static_assert(BOARD_IMAGE_ORIGIN == 0x10000200u, "the second stage starts the image there");

__attribute__((section(".boot"), naked, used)) static void second_stage(void) {
  __asm volatile(
      "1: ldr r0, 2f\n"
      "movs r1, #0\n"
      "str r1, [r0, #0x08]\n" /* SSIENR: off */
      "movs r1, #4\n"
      "str r1, [r0, #0x14]\n" /* BAUDR */
      "ldr r1, 3f\n"
      "str r1, [r0, #0x00]\n" /* CTRLR0: 32-bit frames, read mode */
      "movs r1, #0\n"
      "str r1, [r0, #0x04]\n" /* CTRLR1: one frame a read */
      "ldr r1, 4f\n"
      "ldr r2, 5f\n"
      "str r1, [r2]\n" /* SPI_CTRLR0: command 03h, 24 address bits */
      "movs r1, #1\n"
      "str r1, [r0, #0x08]\n" /* SSIENR: on */
      "ldr r0, 6f\n"
      "ldr r1, [r0]\n"
      "ldr r2, [r0, #4]\n"
      "msr msp, r1\n"
      "bx r2\n"
      ".balign 4\n"
      "2: .word 0x18000000\n"
      "3: .word 0x001F0300\n"
      "4: .word 0x03000218\n"
      "5: .word 0x180000F4\n"
      "6: .word 0x10000200\n"
      ".space 252 - (. - 1b)\n"
      ".word 0x401FEC1E\n");
}

static void start_crystal(void) {
  REGISTER(BOARD_XOSC, XOSC_STARTUP) = XOSC_DELAY;
  REGISTER(BOARD_XOSC, XOSC_CTRL) = XOSC_ON;
  wait_ready(BOARD_XOSC + XOSC_STATUS, STABLE);
  REGISTER(BOARD_CLOCKS, CLK_REF_CTRL) = REF_XOSC;
  wait_ready(BOARD_CLOCKS + CLK_REF_SELECTED, 1u << REF_XOSC);
}

static void start_pll(void) {
  REGISTER(BOARD_PLL_SYS, PLL_FBDIV) = 125;
  set_field(BOARD_PLL_SYS + PLL_PWR, PLL_VCO_OFF, 0);
  wait_ready(BOARD_PLL_SYS + PLL_CS, STABLE);
  REGISTER(BOARD_PLL_SYS, PLL_PRIM) = PLL_DIVIDE_12;
  set_field(BOARD_PLL_SYS + PLL_PWR, PLL_OUTPUT_OFF, 0);
  REGISTER(BOARD_CLOCKS, CLK_SYS_CTRL) = SYS_PLL;
  wait_ready(BOARD_CLOCKS + CLK_SYS_SELECTED, 1u << SYS_PLL);
  REGISTER(BOARD_CLOCKS, CLK_PERI_CTRL) = PERI_ON; /* from the system clock */
}

void chip_start(void) {
  set_field(BOARD_RESETS + RESETS_RESET, USED_PARTS, 0);
  start_crystal();
  wait_ready(BOARD_RESETS + RESETS_DONE, USED_PARTS & ~(1u << 22)); /* the UART has no clock yet */
  start_pll();
  wait_ready(BOARD_RESETS + RESETS_DONE, USED_PARTS);
  REGISTER(BOARD_IO_BANK, GPIO_CTRL(BOARD_SERIAL_TX_PIN)) = GPIO_FUNCTION_UART;
  REGISTER(BOARD_UART, UART_IBRD) = BAUD_DIVIDER_64 / 64;
  REGISTER(BOARD_UART, UART_FBRD) = BAUD_DIVIDER_64 % 64;
  REGISTER(BOARD_UART, UART_LCR) = WORD_8_BITS_FIFO;
  REGISTER(BOARD_UART, UART_CR) = UART_TX_ON;
}

void chip_send(const char *text, uint32_t length) {
  for (uint32_t i = 0; i < length; i++) {
    while ((REGISTER(BOARD_UART, UART_FR) & TX_FULL) != 0) {
    }
    REGISTER(BOARD_UART, UART_DR) = (uint8_t)text[i];
  }
}
