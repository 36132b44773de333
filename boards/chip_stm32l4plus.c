/* STM32L4+ at 120 MHz from the internal oscillator, with flash cache; LPUART by polling. */
#include "firmware.h"
#include "stm32.h"

#define RCC_CR 0x00u
#define RCC_CFGR 0x08u
#define RCC_PLLCFGR 0x0Cu
#define RCC_AHB2ENR 0x4Cu
#define RCC_APB1ENR1 0x58u
#define PWR_CR2 0x04u
#define PWR_CR5 0x80u
#define GPIOA 0x48000000u

#define FLASH_120_MHZ (5u | 7u << 8) /* wait states; prefetch and both caches */
#define HSI_ON (1u << 8)
#define HSI_READY (1u << 10)
#define PLL_120_MHZ (2u | 1u << 4 | 30u << 8 | 1u << 24) /* 16 MHz / 2 * 30 / 2, output on */
#define PLL_ON (1u << 24)
#define PLL_READY (1u << 25)
#define AHB_HALF (8u << 4)
#define SYSTEM_PLL 3u
#define SYSTEM_IS_PLL (3u << 2)
#define PWR_CLOCK (1u << 28)
#define RANGE_1_NORMAL (1u << 8) /* clear for boost */
#define PORT_G_SUPPLY (1u << 9)
#define HALF_SPEED_TURNS 100 /* more than 1 us */

/* Above 80 MHz: boost mode, and half the speed for a microsecond on the way. */
static void start_clock(void) {
  set_bits(BOARD_RCC + RCC_CR, HSI_ON);
  wait_ready(BOARD_RCC + RCC_CR, HSI_READY);
  set_bits(BOARD_RCC + RCC_APB1ENR1, PWR_CLOCK);
  set_field(BOARD_PWR + PWR_CR5, RANGE_1_NORMAL, 0);
  REGISTER(BOARD_FLASH_ACR, 0) = FLASH_120_MHZ;
  REGISTER(BOARD_RCC, RCC_PLLCFGR) = PLL_120_MHZ;
  set_bits(BOARD_RCC + RCC_CR, PLL_ON);
  wait_ready(BOARD_RCC + RCC_CR, PLL_READY);
  REGISTER(BOARD_RCC, RCC_CFGR) = AHB_HALF | SYSTEM_PLL;
  wait_ready(BOARD_RCC + RCC_CFGR, SYSTEM_IS_PLL);
  for (volatile int32_t i = 0; i < HALF_SPEED_TURNS; i++) {
  }
  REGISTER(BOARD_RCC, RCC_CFGR) = SYSTEM_PLL;
}

void chip_start(void) {
  start_clock();
  set_bits(BOARD_PWR + PWR_CR2, PORT_G_SUPPLY);
  stm32_start_serial_pin(RCC_AHB2ENR, GPIOA);
  /* An LPUART divides 256 times its clock. */
  REGISTER(BOARD_USART, USART_BRR) = (uint32_t)(256ull * BOARD_SERIAL_CLOCK_HZ / BAUD);
  REGISTER(BOARD_USART, USART_CR1) = USART_ENABLE;
}

void chip_send(const char *text, uint32_t length) { stm32_send(text, length); }
