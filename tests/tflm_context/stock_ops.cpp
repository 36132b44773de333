#include "stock_ops.h"

namespace tflite {
namespace micro {
namespace {

TfLiteStatus InvokeReshape(TfLiteContext* context, TfLiteNode* node) {
  const TfLiteEvalTensor* input = GetEvalInput(context, node, 0);
  const int8_t* from = GetTensorData<int8_t>(input);
  int8_t* to = GetTensorData<int8_t>(GetEvalOutput(context, node, 0));
  int32_t values = 1;
  for (int i = 0; i < input->dims->size; ++i) values *= input->dims->data[i];
  for (int32_t i = 0; i < values; ++i) to[i] = from[i];
  return kTfLiteOk;
}

void* InitNothing(TfLiteContext*, const char*, size_t) { return nullptr; }
TfLiteStatus PrepareNothing(TfLiteContext*, TfLiteNode*) { return kTfLiteOk; }

}  // namespace
}  // namespace micro
}  // namespace tflite

bool FindStockOp(const char* name, reds::Registration* registration) {
  using namespace tflite::micro;
  const char* expected = "RESHAPE";
  for (; *name == *expected; ++name, ++expected) {
    if (*name != '\0') continue;
    *registration = RegisterOp(InitNothing, PrepareNothing, InvokeReshape);
    return true;
  }
  return false;
}
