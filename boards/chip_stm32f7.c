/* STM32F74x at 216 MHz from the internal oscillator, with both caches; USART by polling. */
#include "firmware.h"
#include "stm32.h"

#define RCC_CR 0x00u
#define RCC_PLLCFGR 0x04u
#define RCC_CFGR 0x08u
#define RCC_AHB1ENR 0x30u
#define RCC_APB1ENR 0x40u
#define PWR_CR1 0x00u
#define PWR_CSR1 0x04u
#define GPIOA 0x40020000u

#define FLASH_216_MHZ (7u | 3u << 8)              /* wait states; prefetch and ART accelerator */
#define PLL_216_MHZ (16u | 432u << 6 | 9u << 24)  /* 16 MHz / 16 * 432 / 2 */
#define PLL_ON (1u << 24)
#define PLL_READY (1u << 25)
#define PWR_CLOCK (1u << 28)
#define OVERDRIVE (1u << 16) /* enable and ready */
#define OVERDRIVE_SWITCH (1u << 17)
#define BUSES (5u << 10 | 4u << 13) /* APB1 54 MHz, APB2 108 MHz */
#define SYSTEM_PLL 2u
#define SYSTEM_IS_PLL (2u << 2)

#define SCB_CCR 0xE000ED14u
#define SCB_ICIALLU 0xE000EF50u
#define SCB_DCISW 0xE000EF60u
#define INSTRUCTION_CACHE (1u << 17)
#define DATA_CACHE (1u << 16)
#define DATA_CACHE_SETS 32u /* 4 KiB, 4 ways, lines of 32 bytes */
#define DATA_CACHE_WAYS 4u

#define BARRIER() __asm volatile("dsb\n isb" ::: "memory")

/* What the caches hold after reset is random. */
static void start_caches(void) {
  REGISTER(SCB_ICIALLU, 0) = 0;
  for (uint32_t set = 0; set < DATA_CACHE_SETS; set++) {
    for (uint32_t way = 0; way < DATA_CACHE_WAYS; way++) {
      REGISTER(SCB_DCISW, 0) = way << 30 | set << 5;
    }
  }
  BARRIER();
  set_bits(SCB_CCR, INSTRUCTION_CACHE | DATA_CACHE);
  BARRIER();
}

/* 216 MHz need the regulator's over-drive, which needs a running PLL. */
static void start_clock(void) {
  REGISTER(BOARD_RCC, RCC_PLLCFGR) = PLL_216_MHZ;
  set_bits(BOARD_RCC + RCC_CR, PLL_ON);
  set_bits(BOARD_RCC + RCC_APB1ENR, PWR_CLOCK);
  set_bits(BOARD_PWR + PWR_CR1, OVERDRIVE);
  wait_ready(BOARD_PWR + PWR_CSR1, OVERDRIVE);
  set_bits(BOARD_PWR + PWR_CR1, OVERDRIVE_SWITCH);
  wait_ready(BOARD_PWR + PWR_CSR1, OVERDRIVE_SWITCH);
  REGISTER(BOARD_FLASH_ACR, 0) = FLASH_216_MHZ;
  wait_ready(BOARD_RCC + RCC_CR, PLL_READY);
  REGISTER(BOARD_RCC, RCC_CFGR) = BUSES | SYSTEM_PLL;
  wait_ready(BOARD_RCC + RCC_CFGR, SYSTEM_IS_PLL);
}

void chip_start(void) {
  start_clock();
  start_caches();
  stm32_start_serial_pin(RCC_AHB1ENR, GPIOA);
  REGISTER(BOARD_USART, USART_BRR) = (BOARD_SERIAL_CLOCK_HZ + BAUD / 2) / BAUD;
  REGISTER(BOARD_USART, USART_CR1) = USART_ENABLE;
}

void chip_send(const char *text, uint32_t length) { stm32_send(text, length); }
