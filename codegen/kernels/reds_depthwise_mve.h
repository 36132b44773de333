/* The depthwise 3x3 convolution with vector instructions, a channel at a time. Part of
 * reds_depthwise_conv_3x3_s8.c.
 *
 * The three lines that an output needs are interleaved: four bytes for each position, of which a
 * line has one (its slot) and the last is not used. Three positions in a row are a window, which
 * one instruction multiplies with all weights. A line overwrites the oldest one; instead of the
 * lines, the weights rotate. */
#ifndef REDS_DEPTHWISE_MVE_H_
#define REDS_DEPTHWISE_MVE_H_

#include "reds_depthwise_layer.h"
#include "reds_mve.h"

#define REDS_SLOTS 4              /* bytes of a position */
#define REDS_WINDOW 0x0777        /* predicate: the bytes of a window that have a weight */
#define REDS_STEP_LIMIT (1 << 13) /* 7 steps fit 16 bits */

/* Bytes from the first of eight values of a line to each of them. */
typedef struct {
  uint16_t inputs[8];
  uint16_t slots[8];
  int32_t advance; /* to the next eight inputs */
} reds_places;

/* What all channels have in common. */
typedef struct {
  reds_places places;
  reds_places same; /* eight times the same value, for padding */
  int32_t inputs;         /* of a line that some output reads */
  int32_t bytes;          /* of the ring that some output reads */
  uint8_t weights[3][16]; /* where the weight of each byte is, by the slot of the oldest line */
} reds_ring;

/* Whether 16 bits can hold where eight values of a line are. */
static inline int reds_fits_ring(const reds_layer *layer) {
  return layer->inner.input_step < REDS_STEP_LIMIT;
}

static inline reds_ring reds_make_ring(const reds_layer *layer) {
  const reds_axis *inner = &layer->inner;
  const int32_t positions = (inner->outputs - 1) * inner->stride + 3;
  const int32_t room = positions > inner->padding ? positions - inner->padding : 0;
  reds_ring ring = {.bytes = positions * REDS_SLOTS,
                    .inputs = inner->inputs < room ? inner->inputs : room,
                    .places.advance = 8 * inner->input_step};
  for (int32_t i = 0; i < 8; ++i) {
    ring.places.inputs[i] = (uint16_t)(i * inner->input_step);
    ring.places.slots[i] = ring.same.slots[i] = (uint16_t)(i * REDS_SLOTS);
  }
  for (int32_t oldest = 0; oldest < 3; ++oldest) {
    for (int32_t i = 0; i < REDS_TAPS; ++i) {
      const int32_t x = i / 3, row = i % 3, slot = (oldest + row) % 3;
      ring.weights[oldest][x * REDS_SLOTS + slot] =
          (uint8_t)(row * layer->row_step + x * layer->tap_step);
    }
  }
  return ring;
}

/* Nothing but padding. */
static inline void reds_clear_ring(const reds_layer *layer, const reds_ring *ring) {
  int8_t *target = layer->buffer;
  const int8x16_t padding = vdupq_n_s8((int8_t)-layer->input_offset);
  for (int32_t left = ring->bytes; left > 0; left -= 16, target += 16) vstrbq_s8(target, padding);
}

/* Puts `count` values of a line into a slot. */
static REDS_NAKED void reds_gather_line(REDS_UNUSED const int8_t *input,
                                        REDS_UNUSED const reds_places *places,
                                        REDS_UNUSED int32_t count, REDS_UNUSED int8_t *slot) {
  __asm__(
      "push {r4, lr}\n\t"
      "vldrh.u16 q1, [r1], #16\n\t"
      "vldrh.u16 q2, [r1], #16\n\t"
      "ldr r4, [r1]\n\t"
      "wlstp.16 lr, r2, 2f\n\t"
      "1:\n\t"
      "vldrb.u16 q0, [r0, q1]\n\t"
      "add r0, r4\n\t"
      "vstrb.16 q0, [r3, q2]\n\t"
      "adds r3, r3, #32\n\t"
      "letp lr, 1b\n\t"
      "2:\n\t"
      "pop {r4, pc}\n\t");
}

/* What the assembly takes for one line of outputs of a channel. */
typedef struct {
  const int8_t *window; /* the first */
  int32_t outputs;
  int32_t advance; /* bytes from an output to the fourth after it */
  int32_t start;   /* of the sums */
  int32_t multiplier;
  int32_t shift;
  int32_t offset;
  int32_t lowest;
  int32_t highest;
  uint32_t places[REDS_LANES]; /* of four outputs */
} reds_ring_line;

/* Four outputs, `a` to `d` the addresses of their windows: 36 products in 20 instructions.
 *
 *   q4 weights, q5 lowest, q6 highest, q7 places; r1 window, r3 output, r8 start, r9 multiplier,
 *   r10 shift, r12 offset */
#define REDS_FOUR_OUTPUTS(a, b, c, d)  \
  "vldrb.u8 q0, " a "\n\t"             \
  "vldrb.u8 q1, " b "\n\t"             \
  "vmladav.s8 r0, q0, q4\n\t"          \
  "vldrb.u8 q2, " c "\n\t"             \
  "vmladav.s8 r2, q1, q4\n\t"          \
  "vldrb.u8 q3, " d "\n\t"             \
  "vmladav.s8 r4, q2, q4\n\t"          \
  "vmladav.s8 r6, q3, q4\n\t"          \
  "vmov q0[2], q0[0], r0, r4\n\t"      \
  "vmov q0[3], q0[1], r2, r6\n\t"      \
  "vadd.i32 q0, q0, r8\n\t"            \
  "vqrdmulh.s32 q0, q0, r9\n\t"        \
  "vshr.s32 q1, q0, #31\n\t"           \
  "vadd.i32 q0, q0, q1\n\t"            \
  "vrshl.s32 q0, r10\n\t"              \
  "vadd.i32 q0, q0, r12\n\t"           \
  "vmax.s32 q0, q0, q5\n\t"            \
  "vmin.s32 q0, q0, q6\n\t"

#define REDS_CONVOLVE_LINE(four_outputs)            \
  "push {r4-r10, lr}\n\t"                           \
  "vpush {d8-d15}\n\t"                              \
  "vldrb.u8 q4, [r1]\n\t"                           \
  "mov r3, r2\n\t"                                  \
  "ldm.w r0!, {r1, r5, r7, r8, r9, r10, r12}\n\t"   \
  "ldrd r4, r6, [r0], #8\n\t"                       \
  "vldrw.u32 q7, [r0]\n\t"                          \
  "vdup.32 q5, r4\n\t"                              \
  "vdup.32 q6, r6\n\t"                              \
  "lsr.w lr, r5, #2\n\t"                            \
  "and.w r5, r5, #3\n\t"                            \
  "wls lr, lr, 2f\n\t"                              \
  "1:\n\t"                                          \
  four_outputs                                      \
  "vstrb.32 q0, [r3, q7]\n\t"                       \
  "add r3, r7\n\t"                                  \
  "le lr, 1b\n\t"                                   \
  "2:\n\t"                                          \
  "cbz r5, 3f\n\t"                                  \
  four_outputs                                      \
  "vctp.32 r5\n\t"                                  \
  "vpst\n\t"                                        \
  "vstrbt.32 q0, [r3, q7]\n\t"                      \
  "3:\n\t"                                          \
  "vpop {d8-d15}\n\t"                               \
  "pop {r4-r10, pc}\n\t"

_Static_assert(offsetof(reds_ring_line, lowest) == 28, "the assembly knows these places");

static REDS_NAKED void reds_convolve_line_1(REDS_UNUSED const reds_ring_line *line,
                                            REDS_UNUSED const int8_t *weights,
                                            REDS_UNUSED int8_t *output) {
  __asm__(REDS_CONVOLVE_LINE(
      REDS_FOUR_OUTPUTS("[r1], #16", "[r1, #-12]", "[r1, #-8]", "[r1, #-4]")));
}

static REDS_NAKED void reds_convolve_line_2(REDS_UNUSED const reds_ring_line *line,
                                            REDS_UNUSED const int8_t *weights,
                                            REDS_UNUSED int8_t *output) {
  __asm__(REDS_CONVOLVE_LINE(
      REDS_FOUR_OUTPUTS("[r1], #32", "[r1, #-24]", "[r1, #-16]", "[r1, #-8]")));
}

static inline reds_ring_line reds_make_line(const reds_layer *layer) {
  const reds_outputs *outputs = &layer->outputs;
  const int32_t step = layer->inner.output_step;
  const uint32_t next = (uint32_t)step;
  const reds_ring_line line = {.window = layer->buffer,
                               .outputs = layer->inner.outputs,
                               .advance = REDS_LANES * step,
                               .offset = outputs->offset,
                               .lowest = outputs->activation.min,
                               .highest = outputs->activation.max,
                               .places = {0, next, 2 * next, 3 * next}};
  return line;
}

static void reds_look_up_line(const reds_ring_line *line, const int8_t *lookup, int8_t *output) {
  const uint32x4_t places = vldrwq_u32(line->places);
  for (int32_t left = line->outputs; left > 0; left -= REDS_LANES, output += line->advance) {
    const mve_pred16_t active = vctp32q((uint32_t)left);
    const int32x4_t values = vldrbq_gather_offset_z_s32(output, places, active);
    vstrbq_scatter_offset_p_s32(output, places, reds_look_up_four(lookup, values), active);
  }
}

/* Reads the input line `line` into a slot; those above the input are there from the beginning. */
static inline void reds_read_line(const reds_layer *layer, const reds_ring *ring, int32_t line,
                                  const int8_t *input, int8_t *slot) {
  if (line >= layer->outer.inputs) {
    const int8_t zero_point = (int8_t)-layer->input_offset;
    reds_gather_line(&zero_point, &ring->same, ring->inputs, slot);
  } else if (line >= 0) {
    reds_gather_line(input + line * layer->outer.input_step, &ring->places, ring->inputs, slot);
  }
}

/* All output lines of a channel. */
static void reds_convolve_lines(const reds_layer *layer, const reds_ring *ring, int32_t channel,
                                const reds_ring_line *out, int8_t weights[3][16]) {
  const reds_axis *outer = &layer->outer;
  int8_t *first = (int8_t *)layer->buffer + layer->inner.padding * REDS_SLOTS;
  int8_t *output = layer->output + channel;
  int32_t line = -outer->padding, end = line + 3, slot = 0;
  for (int32_t i = 0; i < outer->outputs; ++i, end += outer->stride) {
    for (; line < end; ++line) {
      reds_read_line(layer, ring, line, layer->input + channel, first + slot);
      slot = slot == 2 ? 0 : slot + 1;
    }
    (layer->inner.stride == 1 ? reds_convolve_line_1 : reds_convolve_line_2)(out, weights[slot],
                                                                             output);
    if (layer->outputs.lookup != NULL) reds_look_up_line(out, layer->outputs.lookup, output);
    output += outer->output_step;
  }
}

static void reds_convolve_ring(const reds_layer *layer, const reds_ring *ring, int32_t channel,
                               reds_ring_line *out) {
  const int8_t *filter = layer->filter + channel * REDS_TAPS;
  int8_t weights[3][16];
  for (int32_t i = 0; i < 3; ++i) {
    const uint8x16_t places = vldrbq_u8(ring->weights[i]);
    vstrbq_s8(weights[i], vldrbq_gather_offset_z_s8(filter, places, REDS_WINDOW));
  }
  const int32_t sum = vaddvq_s8(vldrbq_s8(weights[0]));
  out->start = layer->outputs.bias[channel] + layer->input_offset * sum;
  out->multiplier = layer->outputs.multiplier[channel];
  out->shift = layer->outputs.shift[channel];
  reds_clear_ring(layer, ring);
  reds_convolve_lines(layer, ring, channel, out, weights);
}

#endif /* REDS_DEPTHWISE_MVE_H_ */
