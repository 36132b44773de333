/* STM32F405/407 at 168 MHz from the internal oscillator, with flash cache; USART by polling. */
#include "firmware.h"
#include "stm32.h"

#define RCC_CR 0x00u
#define RCC_PLLCFGR 0x04u
#define RCC_CFGR 0x08u
#define RCC_AHB1ENR 0x30u
#define GPIOA 0x40020000u

#define FLASH_168_MHZ (5u | 7u << 8)              /* wait states; prefetch and both caches */
#define PLL_168_MHZ (16u | 336u << 6 | 7u << 24)  /* 16 MHz / 16 * 336 / 2 */
#define PLL_ON (1u << 24)
#define PLL_READY (1u << 25)
#define BUSES (5u << 10 | 4u << 13) /* APB1 42 MHz, APB2 84 MHz */
#define SYSTEM_PLL 2u
#define SYSTEM_IS_PLL (2u << 2)

/* This family has the older USART. */
#define SR 0x00u
#define DR 0x04u
#define BRR 0x08u
#define CR1 0x0Cu
#define CR1_ENABLE (1u << 13 | 1u << 3) /* UE, TE */

static void start_clock(void) {
  REGISTER(BOARD_FLASH_ACR, 0) = FLASH_168_MHZ;
  REGISTER(BOARD_RCC, RCC_PLLCFGR) = PLL_168_MHZ;
  set_bits(BOARD_RCC + RCC_CR, PLL_ON);
  wait_ready(BOARD_RCC + RCC_CR, PLL_READY);
  REGISTER(BOARD_RCC, RCC_CFGR) = BUSES | SYSTEM_PLL;
  wait_ready(BOARD_RCC + RCC_CFGR, SYSTEM_IS_PLL);
}

void chip_start(void) {
  start_clock();
  stm32_start_serial_pin(RCC_AHB1ENR, GPIOA);
  REGISTER(BOARD_USART, BRR) = (BOARD_SERIAL_CLOCK_HZ + BAUD / 2) / BAUD;
  REGISTER(BOARD_USART, CR1) = CR1_ENABLE;
}

void chip_send(const char *text, uint32_t length) {
  for (uint32_t i = 0; i < length; i++) {
    while ((REGISTER(BOARD_USART, SR) & USART_EMPTY) == 0) {
    }
    REGISTER(BOARD_USART, DR) = (uint8_t)text[i];
  }
}
