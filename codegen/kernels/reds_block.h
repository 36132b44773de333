/* Convolution as a matrix product: blocks of two weight rows x four positions. Not public.
 *
 * Weights are packed offline, one byte each as before. Rows 2r and 2r + 1 stand together: each pair
 * of their weights is one int16, the mix 256 * w[2r + 1] + w[2r]. Its product with an input sums up
 * to mix = 256 * S1 + S0, its low byte alone gives S0, and S1 = (mix - S0) / 256: one unpacking
 * instruction serves four weights. It is exact as long as |S1| < 2^23: a run of at most
 * REDS_RUN_HALVES halves, with weights in [-127, 127], cannot leave that range
 * (256 * 255 * 127 < 2^23); longer rows are summed in several runs.
 *
 *   row pair   [segment][group of four inputs][half][2 inputs] int16; inputs 0 2 of a group make
 *              its first half, 1 3 the second: what SXTB16 makes of a word of inputs
 *   segment    the whole row; or, where a subnet uses fewer inputs than the row has, one for each
 *              tap of the kernel, of which the subnet reads a prefix
 *   patches    the inputs of four positions, as int16 without the zero point, in the same order:
 *              [segment][half][position][2 inputs]; zeros after the last input of a segment */
#ifndef REDS_BLOCK_H_
#define REDS_BLOCK_H_

#include "reds_support.h"

#define REDS_GROUP_INPUTS 4
#define REDS_POSITIONS 4
#define REDS_HALF_WORDS REDS_POSITIONS /* of a half in the patches */
#define REDS_HALF_BYTES 4              /* of a half in a row pair */
#define REDS_RUN_HALVES 128

typedef int16_t __attribute__((may_alias)) reds_halfword; /* an input or a mix */
typedef int32_t __attribute__((may_alias)) reds_word;     /* two of them */

/* The part of a row pair that a subnet reads. */
typedef struct {
  int32_t count;   /* segments */
  int32_t length;  /* inputs of a segment */
  int32_t halves;  /* that hold them */
  int32_t skipped; /* bytes of weights from the end of these halves to the next segment */
} reds_rows;

/* Sums of two rows at four positions. */
typedef struct {
  int32_t row0[REDS_POSITIONS];
  int32_t row1[REDS_POSITIONS];
} reds_block;

/* What the functions for four positions take. */
typedef struct {
  const uint32_t *patches;
  const int8_t *weights;
  int32_t halves; /* of a segment */
  int32_t pairs;  /* of rows */
  const int32_t *bias;
  const int32_t *multiplier;
  const int8_t *shift;
  int8_t *output;
  int32_t stride;
  int32_t rounding; /* -1 - zero point: subtracted with carry, it adds the zero point and rounds */
  int32_t skipped;  /* bytes of weights from the last half of a segment to the next one */
  int32_t count;    /* segments */
  int32_t period;   /* segments that make a run */
  const int8_t *lookup; /* of a fused activation, for input 0; or null */
  int32_t rest;         /* bytes of weights from the last segment of a pair to the next pair */
  reds_block *sums;     /* of each pair, to which the products are added; null: to the outputs */
} reds_four;

/* The last row of an odd number, as a pair with a row that is not used. */
typedef struct {
  int32_t bias[2];
  int32_t multiplier[2];
  int8_t shift[2];
  int8_t outputs[2 * REDS_POSITIONS];
} reds_single;

/* The same part as vector instructions see it, see reds_block_mve.h. */
typedef struct {
  const int8_t *patches;
  int32_t patch_bytes; /* of one position */
  int32_t sixteens;    /* inputs of a segment / 16 */
  int32_t rest;        /* and those that are left, in whole groups */
  int32_t count;       /* segments */
  int32_t skipped;     /* bytes of weights from the last group of a segment to the next one */
} reds_pair_shape;

/* A matrix product, prepared once for all positions of a layer. */
typedef struct {
  /* On cores with the DSP extension: the fast function, null where an output needs more. */
  reds_four four;
  void (*multiply_four)(const reds_four *four);
  reds_rows rows;
  reds_outputs outputs;
  const int8_t *filter;
  int32_t input_offset;
  int32_t channels; /* active outputs */
  int32_t stride;   /* bytes from one position of the output to the next */
  uint32_t *patches;
  reds_single single;
  /* On cores with vector instructions. */
  reds_pair_shape shape;
  int32_t pair_bytes;
  int32_t *starts; /* of the sums of the first `started` outputs */
  int32_t started;
  int shifts_left; /* whether one of the factors is 1 or more */
} reds_product;

/* What a subnet reads of the rows of `filter`. */
reds_rows reds_active_rows(const reds_dims *filter);

/* Prepares the product of the filter and patches in the scratch. */
void reds_prepare(reds_product *product, const reds_call *call);

/* All outputs of the first 1 to 4 positions of the patches. */
void reds_multiply_patches(reds_product *product, int32_t positions, int8_t *output);

/* Starts the sums of every row pair. */
void reds_start_sums(const reds_product *product, reds_block *sums);

/* Adds the products of the segments from `first` on, as many as `part` has and the patches hold, to
 * the sums of every row pair. */
void reds_add_products(const reds_product *product, const reds_rows *part, int32_t first,
                       reds_block *sums);

/* The outputs of these sums. */
void reds_output_sums(const reds_product *product, const reds_block *sums, int32_t positions,
                      int8_t *output);

static inline int32_t reds_groups(int32_t inputs) { return (inputs + 3) >> 2; }

static inline int32_t reds_halves(int32_t inputs) {
  const int32_t rest = inputs & 3;
  return inputs / 4 * 2 + (rest < 2 ? rest : 2);
}

/* `taps` taps of the rows, each of which is a segment or a whole number of groups. */
static inline reds_rows reds_tap_rows(const reds_dims *filter, int32_t taps) {
  const int32_t halves = reds_halves(filter->channels);
  const int32_t skipped = (reds_groups(filter->channel_stride) * 2 - halves) * REDS_HALF_BYTES;
  const reds_rows rows = {taps, filter->channels, halves, skipped};
  return rows;
}

/* Bytes from one row pair to the next. */
static inline int32_t reds_pair_bytes(const reds_rows *rows) {
  return rows->count * (rows->halves * REDS_HALF_BYTES + rows->skipped);
}

/* Bytes of the patches of four positions. */
int64_t reds_patch_bytes(const reds_dims *filter);

/* Scratch that holds them; 0 for dims that are not valid. */
size_t reds_patch_scratch(const reds_dims *filter);

#endif /* REDS_BLOCK_H_ */
