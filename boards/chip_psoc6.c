/* PSoC 6, Cortex-M4 at 150 MHz from the internal oscillator; SCB as UART by polling.
 *
 * The chip boots its Cortex-M0+, which has to start the Cortex-M4. The image brings the program
 * for it: `start_m4` at the start of flash gives the Cortex-M4 its vector table and power, then
 * sleeps for ever. It uses no stack and no instruction that only a Cortex-M4 has. */
#include "board.h"
#include "firmware.h"
#include "registers.h"

#define FLASH_CTL 0x00u
#define FLASH_WAIT_STATES 5u /* above 125 MHz */
#define WDT_CTL 0x180u
#define WDT_ENABLE 1u
#define WDT_LOCK (3u << 30)
#define WDT_UNLOCK_1 (1u << 30)
#define WDT_UNLOCK_2 (2u << 30)
#define CM0_CLOCK_CTL 0x1008u
#define PERI_HALF (1u << 24) /* at most 100 MHz: half of 150 */
#define CLK_ROOT_SELECT 0x380u
#define CLK_PLL_CONFIG 0x600u
#define CLK_PLL_STATUS 0x640u
#define PLL_150_MHZ (75u | 2u << 8 | 2u << 16) /* 8 MHz / 2 * 75 / 2 */
#define PLL_BYPASS (2u << 28)
#define PLL_ON (1u << 31)
#define PLL_LOCKED 1u
#define ROOT_PLL (1u | 1u << 31) /* path 1, enabled */

#define PERI_DIV_CMD 0x0400u
#define PERI_CLOCK_CTL 0x0C00u
#define PERI_DIV_16_CTL 0x1400u
#define DIVIDER_16_BIT (1u << 8) /* the first one of 16 bits */
#define ENABLE_DIVIDER (1u << 31 | 0x3FFu << 16 | DIVIDER_16_BIT)
#define OVERSAMPLING 13u
#define BAUD_DIVIDER ((BOARD_SERIAL_CLOCK_HZ / OVERSAMPLING + 115200u / 2) / 115200u)

#define HSIOM_PORT_BYTES 0x10u
#define GPIO_PORT_BYTES 0x80u
#define GPIO_CFG 0x44u
#define DRIVE_STRONG 6u
#define SCB_CTRL 0x000u
#define SCB_UART_CTRL 0x040u
#define SCB_UART_TX_CTRL 0x044u
#define SCB_TX_CTRL 0x200u
#define SCB_TX_FIFO_STATUS 0x208u
#define SCB_TX_FIFO_WR 0x240u
#define SCB_UART (OVERSAMPLING - 1u | 2u << 24)
#define SCB_ON (1u << 31)
#define ONE_STOP_BIT 1u
#define WIDTH_8_BITS 7u
#define FIFO_USED 0x1FFu

_Static_assert(BOARD_IMAGE_ORIGIN == 0x10002000u, "start_m4 gives the Cortex-M4 this address");

/* Vector table of the Cortex-M0+ (stack pointer, entry) and its program: CM4_VECTOR_TABLE_BASE,
 * then CM4_PWR_CTL with its key 05FAh and the mode "enabled". */
__attribute__((section(".boot"), naked, used)) static void start_m4(void) {
  __asm volatile(
      ".word 0x08002000\n"
      ".word 0x10000009\n"
      "ldr.n r0, 2f\n"
      "ldr.n r1, 3f\n"
      "str r1, [r0]\n"
      "ldr.n r0, 4f\n"
      "ldr.n r1, 5f\n"
      "str r1, [r0]\n"
      "1: wfi\n"
      "b 1b\n"
      ".balign 4\n"
      "2: .word 0x40200200\n"
      "3: .word 0x10002000\n"
      "4: .word 0x40201200\n"
      "5: .word 0x05FA0003\n");
}

/* It runs after reset and would reset the chip after a third of a second. */
static void stop_watchdog(void) {
  set_field(BOARD_SRSS + WDT_CTL, WDT_LOCK, WDT_UNLOCK_1);
  set_field(BOARD_SRSS + WDT_CTL, WDT_LOCK, WDT_UNLOCK_2);
  set_field(BOARD_SRSS + WDT_CTL, WDT_ENABLE, 0);
}

static void start_clock(void) {
  set_field(BOARD_FLASHC + FLASH_CTL, 15u, FLASH_WAIT_STATES);
  REGISTER(BOARD_CPUSS, CM0_CLOCK_CTL) = PERI_HALF;
  REGISTER(BOARD_SRSS, CLK_PLL_CONFIG) = PLL_150_MHZ | PLL_BYPASS;
  REGISTER(BOARD_SRSS, CLK_PLL_CONFIG) = PLL_150_MHZ | PLL_BYPASS | PLL_ON;
  wait_ready(BOARD_SRSS + CLK_PLL_STATUS, PLL_LOCKED);
  REGISTER(BOARD_SRSS, CLK_PLL_CONFIG) = PLL_150_MHZ | PLL_ON;
  REGISTER(BOARD_SRSS, CLK_ROOT_SELECT) = ROOT_PLL;
}

static void route_pin(void) {
  const uint32_t port = BOARD_SERIAL_TX_PORT, pin = BOARD_SERIAL_TX_PIN; /* pin below 4 */
  set_field(BOARD_HSIOM + port * HSIOM_PORT_BYTES, 31u << 8 * pin,
            BOARD_SERIAL_TX_FUNCTION << 8 * pin);
  set_field(BOARD_GPIO + port * GPIO_PORT_BYTES + GPIO_CFG, 15u << 4 * pin,
            DRIVE_STRONG << 4 * pin);
}

void chip_start(void) {
  stop_watchdog();
  start_clock();
  REGISTER(BOARD_PERI, PERI_DIV_16_CTL) = (BAUD_DIVIDER - 1) << 8;
  REGISTER(BOARD_PERI, PERI_DIV_CMD) = ENABLE_DIVIDER;
  REGISTER(BOARD_PERI, PERI_CLOCK_CTL + 4 * BOARD_SERIAL_CLOCK_OUTPUT) = DIVIDER_16_BIT;
  REGISTER(BOARD_SCB, SCB_CTRL) = SCB_UART;
  REGISTER(BOARD_SCB, SCB_UART_CTRL) = 0;
  REGISTER(BOARD_SCB, SCB_UART_TX_CTRL) = ONE_STOP_BIT;
  REGISTER(BOARD_SCB, SCB_TX_CTRL) = WIDTH_8_BITS;
  REGISTER(BOARD_SCB, SCB_CTRL) = SCB_UART | SCB_ON;
  route_pin();
}

void chip_send(const char *text, uint32_t length) {
  for (uint32_t i = 0; i < length; i++) {
    while ((REGISTER(BOARD_SCB, SCB_TX_FIFO_STATUS) & FIFO_USED) != 0) {
    }
    REGISTER(BOARD_SCB, SCB_TX_FIFO_WR) = (uint8_t)text[i];
  }
}
