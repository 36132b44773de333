/* FPGA images of Arm's MPS2 and MPS3 boards, and QEMU's models of them: CMSDK UART by polling. */
#include "board.h"
#include "firmware.h"
#include "registers.h"

#define UART_DATA 0x00u
#define UART_STATE 0x04u
#define UART_CTRL 0x08u
#define UART_BAUDDIV 0x10u
#define TX_FULL 1u
#define TX_ENABLE 1u
#define BAUD 115200u

void chip_start(void) {
  REGISTER(BOARD_UART, UART_BAUDDIV) = BOARD_SERIAL_CLOCK_HZ / BAUD;
  REGISTER(BOARD_UART, UART_CTRL) = TX_ENABLE;
}

void chip_send(const char *text, uint32_t length) {
  for (uint32_t i = 0; i < length; i++) {
    while ((REGISTER(BOARD_UART, UART_STATE) & TX_FULL) != 0) {
    }
    REGISTER(BOARD_UART, UART_DATA) = (uint8_t)text[i];
  }
}
