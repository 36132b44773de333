/* What a stock op knows about itself after Prepare, when our kernels run it. */
#ifndef REDS_STOCK_DATA_H_
#define REDS_STOCK_DATA_H_

#include "reds_linear_call.h"

/* Packed weights of a stock op that may lie in the arena. A layer with more is packed anew in each
 * invocation, so many rows at a time: that costs a convolution little, as it reads them at every
 * position, and a fully connected layer much. */
#ifndef REDS_STOCK_PACKED_BYTES
#define REDS_STOCK_PACKED_BYTES 4096
#endif

namespace tflite {
namespace micro {
namespace reds {

/* So that a packed copy, of at most four times as many bytes, fits an int32. */
constexpr int64_t kMostWeights = INT32_MAX / 8;

enum StockInput { kStockInput = 0, kStockWeights, kStockBias };

struct StockData {
  OpData op; /* of one subnet */
  int32_t widths[3]; /* what the options of `op` point to */
  int32_t* multiplier;
  int8_t* shift;
  const int32_t* bias;
  int32_t row_bytes; /* of packed weights; 0: the kernel takes them as they are */
  int32_t rows;      /* that are packed at a time, an even number; or all */
  int8_t* packed;    /* all rows; null if they are packed in each invocation */
  int packed_scratch;
};

/* Reads shapes and TFLM's options of a node, and chooses the kernel; returns what is wrong, or
 * null. */
const char* ReadStockShapes(const Context* context, const Node* node, StockData* data);

/* Makes the tables of multipliers and shifts from the tensors' scales; returns what is wrong, or
 * null. */
const char* MakeStockTables(MicroContext* micro, const Node* node, StockData* data);

/* Chooses how many rows are packed at a time, and packs them if all fit; returns what is wrong, or
 * null. */
const char* PrepareStockWeights(MicroContext* micro, const int8_t* weights, StockData* data);

/* Packs `count` rows of stock weights from row `first` on, an even number. */
void PackStockRows(const OpData& op, const int8_t* weights, int32_t first, int32_t count,
                   int8_t* packed);

}  // namespace reds
}  // namespace micro
}  // namespace tflite

#endif  // REDS_STOCK_DATA_H_
