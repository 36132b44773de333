/* What STM32 families have in common: pins, and the newer kind of USART. */
#ifndef STM32_H_
#define STM32_H_

#include "board.h"
#include "registers.h"

#define GPIO_MODER 0x00u
#define GPIO_AFR 0x20u
#define GPIO_PORT_BYTES 0x400u
#define MODE_ALTERNATE 2u

#define USART_CR1 0x00u
#define USART_BRR 0x0Cu
#define USART_ISR 0x1Cu
#define USART_TDR 0x28u
#define USART_ENABLE (1u << 0 | 1u << 3) /* UE, TE */
#define USART_EMPTY (1u << 7)            /* TXE */

#define BAUD 115200u

/* Gives the serial port and its pin their clocks, and connects them. `port_clocks` is RCC's register
 * with a bit for each GPIO port from the one at `first_port` on. */
static inline void stm32_start_serial_pin(uint32_t port_clocks, uint32_t first_port) {
  set_bits(BOARD_RCC + port_clocks, 1u << (BOARD_GPIO - first_port) / GPIO_PORT_BYTES);
  set_bits(BOARD_RCC + BOARD_SERIAL_CLOCK_REGISTER, 1u << BOARD_SERIAL_CLOCK_BIT);
  const uint32_t pin = BOARD_SERIAL_TX_PIN, shift = 4 * (pin % 8);
  set_field(BOARD_GPIO + GPIO_AFR + pin / 8 * 4, 15u << shift, BOARD_SERIAL_TX_FUNCTION << shift);
  set_field(BOARD_GPIO + GPIO_MODER, 3u << 2 * pin, MODE_ALTERNATE << 2 * pin);
}

static inline void stm32_send(const char *text, uint32_t length) {
  for (uint32_t i = 0; i < length; i++) {
    while ((REGISTER(BOARD_USART, USART_ISR) & USART_EMPTY) == 0) {
    }
    REGISTER(BOARD_USART, USART_TDR) = (uint8_t)text[i];
  }
}

#endif /* STM32_H_ */
