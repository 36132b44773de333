/* The block product with vector instructions: 16 products of int8 at a time. Part of reds_block.c.
 *
 * Patches are the inputs themselves, int8 [position][segment][input] in the packed order, the last
 * group filled up with the zero point; the rows of a pair are separated as in reds_rows_mve.h. What
 * the input offset adds, its product with the sum of a row's weights, is added to the bias
 * beforehand: `starts`, as many as the scratch behind the patches holds.
 *
 *   r1, r3, r5, r7  inputs of four positions     r0 r2, r4 r6, r8 r10, r12 lr  sums of two rows
 *   r9              weights                      r11  inputs left */
#ifndef REDS_BLOCK_MVE_H_
#define REDS_BLOCK_MVE_H_

#include "reds_expand.h"
#include "reds_rows_mve.h"

/* 16 inputs of two rows at four positions: 128 products in 16 instructions. */
#define REDS_SIXTEEN(a)              \
  "vld20.8 {q0, q1}, [r9]\n\t"       \
  "vld21.8 {q0, q1}, [r9]!\n\t"      \
  "vshr.s8 q2, q0, #7\n\t"           \
  "vsub.i8 q1, q1, q2\n\t"           \
  "vldrb.u8 q2, [r1], #16\n\t"       \
  "vmladav" a ".s8 r0, q0, q2\n\t"   \
  "vldrb.u8 q3, [r3], #16\n\t"       \
  "vmladav" a ".s8 r2, q1, q2\n\t"   \
  "vmladav" a ".s8 r4, q0, q3\n\t"   \
  "vldrb.u8 q2, [r5], #16\n\t"       \
  "vmladav" a ".s8 r6, q1, q3\n\t"   \
  "vmladav" a ".s8 r8, q0, q2\n\t"   \
  "vldrb.u8 q3, [r7], #16\n\t"       \
  "vmladav" a ".s8 r10, q1, q2\n\t"  \
  "vmladav" a ".s8 r12, q0, q3\n\t"  \
  "vmladav" a ".s8 lr, q1, q3\n\t"

/* Up to eight inputs, as int16. */
#define REDS_EIGHT                   \
  "vctp.16 r11\n\t"                  \
  "vpsttt\n\t"                       \
  "vldrht.u16 q0, [r9], #16\n\t"     \
  "vldrbt.s16 q2, [r1], #8\n\t"      \
  "vldrbt.s16 q3, [r3], #8\n\t"      \
  "vmovlb.s8 q1, q0\n\t"             \
  "vrshr.s16 q0, q0, #8\n\t"         \
  "vmladava.s16 r0, q1, q2\n\t"      \
  "vmladava.s16 r2, q0, q2\n\t"      \
  "vmladava.s16 r4, q1, q3\n\t"      \
  "vmladava.s16 r6, q0, q3\n\t"      \
  "vpstt\n\t"                        \
  "vldrbt.s16 q2, [r5], #8\n\t"      \
  "vldrbt.s16 q3, [r7], #8\n\t"      \
  "vmladava.s16 r8, q1, q2\n\t"      \
  "vmladava.s16 r10, q0, q2\n\t"     \
  "vmladava.s16 r12, q1, q3\n\t"     \
  "vmladava.s16 lr, q0, q3\n\t"

/* sums[4 * position + row] of one or two row pairs at four positions.
 *
 * Stack: 0 the shape, 24 pairs left, 28 segments left, 32 sums, 36 saved registers. */
static REDS_NAKED void reds_sum_pairs(REDS_UNUSED const reds_pair_shape *shape,
                                      REDS_UNUSED const int8_t *weights, REDS_UNUSED int32_t pairs,
                                      REDS_UNUSED int32_t *sums) {
  __asm__(
      "push {r3-r11, lr}\n\t"
      "ldm.w r0, {r3-r8}\n\t"
      "mov r9, r1\n\t"
      "push {r2, r7}\n\t"
      "push {r3-r8}\n\t"
      "1:\n\t"
      "ldrd r1, r7, [sp]\n\t"
      "ldr.w r11, [sp, #8]\n\t"
      "add.w r3, r1, r7\n\t"
      "add.w r5, r3, r7\n\t"
      "add.w r7, r7, r5\n\t"
      "subs.w r11, r11, #1\n\t"
      "blt 2f\n\t"
      REDS_SIXTEEN("")
      "ble 4f\n\t"
      "3:\n\t"
      REDS_SIXTEEN("a")
      "subs.w r11, r11, #1\n\t"
      "bgt 3b\n\t"

      "4:\n\t"
      "ldr.w r11, [sp, #12]\n\t"
      "cmp.w r11, #0\n\t"
      "beq 6f\n\t"
      "5:\n\t"
      REDS_EIGHT
      "subs.w r11, r11, #8\n\t"
      "bgt 5b\n\t"
      "beq 6f\n\t"
      /* Only four of the last eight were there. */
      "add r1, r11\n\t"
      "add r3, r11\n\t"
      "add r5, r11\n\t"
      "add r7, r11\n\t"
      "add.w r9, r9, r11, lsl #1\n\t"

      "6:\n\t"
      "ldr.w r11, [sp, #28]\n\t"
      "subs.w r11, r11, #1\n\t"
      "beq 7f\n\t"
      "str.w r11, [sp, #28]\n\t"
      "ldr.w r11, [sp, #20]\n\t"
      "add r9, r11\n\t"
      "ldr.w r11, [sp, #8]\n\t"
      "cmp.w r11, #0\n\t"
      "bgt 3b\n\t"
      "b 4b\n\t"

      "2:\n\t"
      "movs r0, #0\n\t"
      "movs r2, #0\n\t"
      "movs r4, #0\n\t"
      "movs r6, #0\n\t"
      "mov r8, r0\n\t"
      "mov r10, r0\n\t"
      "mov r12, r0\n\t"
      "mov lr, r0\n\t"
      "b 4b\n\t"

      "7:\n\t"
      "ldrd r11, r1, [sp, #20]\n\t"
      "ldr r3, [sp, #32]\n\t"
      "strd r0, r2, [r3]\n\t"
      "strd r4, r6, [r3, #16]\n\t"
      "strd r8, r10, [r3, #32]\n\t"
      "strd r12, lr, [r3, #48]\n\t"
      "subs r1, r1, #1\n\t"
      "beq 8f\n\t"
      "ldr r5, [sp, #16]\n\t"
      "add r9, r11\n\t"
      "adds r3, r3, #8\n\t"
      "strd r1, r5, [sp, #24]\n\t"
      "str r3, [sp, #32]\n\t"
      "b 1b\n\t"

      "8:\n\t"
      "add sp, #36\n\t"
      "pop {r4-r11, pc}\n\t");
}

static reds_pair_shape make_shape(const reds_rows *rows, const void *patches) {
  const int32_t inputs = reds_groups(rows->length) * REDS_GROUP_INPUTS;
  const int32_t segment = rows->halves * REDS_HALF_BYTES + rows->skipped;
  const int32_t skipped = segment - 2 * inputs;
  const int32_t count = skipped == 0 ? 1 : rows->count; /* side by side, they are one */
  const int32_t length = rows->count / count * inputs;
  const reds_pair_shape shape = {patches,     count * length, length / 16,
                                 length % 16, count,          skipped};
  return shape;
}

/* What the sums of four channels start from. */
static int32x4_t start_four(const reds_product *product, int32_t channel) {
  const reds_pair_shape *shape = &product->shape;
  const int32_t groups = 4 * shape->sixteens + shape->rest / REDS_GROUP_INPUTS;
  const int32_t step = groups * 2 * REDS_GROUP_INPUTS + shape->skipped;
  const int8_t *pair0 = product->filter + channel / 2 * product->pair_bytes;
  const int8_t *pair1 = channel + 2 < product->channels ? pair0 + product->pair_bytes : pair0;
  const mve_pred16_t active = vctp32q((uint32_t)(product->channels - channel));
  int32x4_t start = vldrwq_z_s32(product->outputs.bias + channel, active);
  for (int32_t i = 0; i < shape->count; ++i, pair0 += step, pair1 += step) {
    reds_row_sums sums; /* of any inputs: only those of the weights matter */
    reds_sum_four_rows(pair0, pair0, pair1, groups, &sums);
    start = vmlaq_n_s32(start, vldrwq_s32(sums.weights), product->input_offset);
  }
  return start;
}

/* How many starts fit behind the patches; none where the patches are not those of whole rows. */
static size_t count_starts(const reds_product *product, const reds_call *call) {
  const size_t scratch = call->context->size;
  if (scratch < (size_t)reds_patch_bytes(call->filter_dims)) return 0;
  const size_t patch_bytes = (size_t)(REDS_POSITIONS * product->shape.patch_bytes);
  return (scratch - patch_bytes) / sizeof(int32x4_t) * REDS_LANES;
}

static void prepare_body(reds_product *product, const reds_call *call) {
  product->shifts_left = reds_shifts_left(&product->outputs, product->channels);
  product->pair_bytes = reds_pair_bytes(&product->rows);
  product->shape = make_shape(&product->rows, product->patches);
  product->starts = (int32_t *)product->patches + REDS_POSITIONS * reds_patch_words(&product->rows);
  product->started = 0;
  const size_t room = count_starts(product, call);
  for (int32_t i = 0; i < product->channels && (size_t)i < room; i += REDS_LANES) {
    vstrwq_s32(product->starts + i, start_four(product, i));
    product->started = i + REDS_LANES;
  }
}

/* Replaces sums that are to be shifted to the left. */
static int32x4_t shift_left(int32_t *sums, int32x4_t start, int32x4_t shift) {
  for (int32_t i = 0; i < REDS_POSITIONS; ++i, sums += REDS_LANES) {
    vstrwq_s32(sums, reds_shift_left(vaddq_s32(vldrwq_s32(sums), start), shift));
  }
  return vdupq_n_s32(0);
}

static void look_up(const int8_t *lookup, mve_pred16_t active, int32_t positions, int32_t stride,
                    int8_t *output) {
  for (; positions > 0; --positions, output += stride) {
    vstrbq_p_s32(output, reds_look_up_four(lookup, vldrbq_z_s32(output, active)), active);
  }
}

/* The outputs of up to four channels from `sums` [position][channel]. */
static inline void output_four(const reds_product *product, const reds_outputs *outputs,
                               int32_t channel, int32_t *sums, int32_t positions,
                               int8_t *output) {
  const mve_pred16_t active = vctp32q((uint32_t)(product->channels - channel));
  const reds_four_factors factors = reds_load_factors(outputs, channel, active);
  int32x4_t start = channel < product->started ? vldrwq_s32(product->starts + channel)
                                               : start_four(product, channel);
  int32x4_t shift = factors.shift;
  if (product->shifts_left) {
    start = shift_left(sums, start, shift);
    shift = vminq_s32(shift, start);
  }
  int8_t *next = output;
  const int32_t stride = product->stride;
#pragma GCC unroll 4
  for (int32_t i = 0; i < positions; ++i, sums += REDS_LANES, next += stride) {
    const int32x4_t sum = vaddq_s32(vldrwq_s32(sums), start);
    const int32x4_t scaled = reds_scale_down(sum, factors.multiplier, shift);
    vstrbq_p_s32(next, reds_clamp_four(outputs, scaled), active);
  }
  if (outputs->lookup != NULL) look_up(outputs->lookup, active, positions, stride, output);
}

void reds_multiply_patches(reds_product *product, int32_t positions, int8_t *output) {
  const reds_outputs outputs = product->outputs; /* a local copy: no int8 store can alias it */
  const int32_t channels = product->channels, step = 2 * product->pair_bytes;
  const int8_t *weights = product->filter;
  for (int32_t channel = 0; channel < channels; channel += REDS_LANES, weights += step) {
    int32_t sums[REDS_POSITIONS * REDS_LANES];
    reds_sum_pairs(&product->shape, weights, channel + 2 < channels ? 2 : 1, sums);
    if (positions == REDS_POSITIONS) {
      output_four(product, &outputs, channel, sums, REDS_POSITIONS, output + channel);
    } else {
      output_four(product, &outputs, channel, sums, positions, output + channel);
    }
  }
}

/* Biases are added last, with what the input offset adds. */
void reds_start_sums(const reds_product *product, reds_block *sums) {
  const size_t pairs = ((size_t)product->channels + 1) / 2;
  __builtin_memset(sums, 0, pairs * sizeof(reds_block));
}

void reds_add_products(const reds_product *product, const reds_rows *part, int32_t first,
                       reds_block *sums) {
  const reds_pair_shape shape = make_shape(part, product->patches);
  const int8_t *pair = product->filter + first * (reds_pair_bytes(part) / part->count);
  for (int32_t channel = 0; channel < product->channels; channel += 2, ++sums) {
    int32_t here[REDS_POSITIONS * REDS_LANES];
    reds_sum_pairs(&shape, pair, 1, here);
    for (int32_t i = 0; i < REDS_POSITIONS; ++i) {
      sums->row0[i] += here[i * REDS_LANES];
      sums->row1[i] += here[i * REDS_LANES + 1];
    }
    pair += product->pair_bytes;
  }
}

void reds_output_sums(const reds_product *product, const reds_block *sums, int32_t positions,
                      int8_t *output) {
  const reds_outputs outputs = product->outputs;
  for (int32_t channel = 0; channel < product->channels; channel += REDS_LANES, sums += 2) {
    const reds_block *second = channel + 2 < product->channels ? sums + 1 : sums;
    int32_t here[REDS_POSITIONS * REDS_LANES];
    for (int32_t i = 0; i < REDS_POSITIONS; ++i) {
      here[i * REDS_LANES] = sums->row0[i];
      here[i * REDS_LANES + 1] = sums->row1[i];
      here[i * REDS_LANES + 2] = second->row0[i];
      here[i * REDS_LANES + 3] = second->row1[i];
    }
    output_four(product, &outputs, channel, here, positions, output + channel);
  }
}

#endif /* REDS_BLOCK_MVE_H_ */
