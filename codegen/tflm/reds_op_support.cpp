#include "reds_op_support.h"

namespace tflite {
namespace micro {
namespace reds {

namespace {

bool ReadZeroPoint(MicroContext* micro, TfLiteTensor* tensor, int32_t* zero_point) {
  if (tensor == nullptr) return false;
  *zero_point = tensor->params.zero_point;
  micro->DeallocateTempTfLiteTensor(tensor);
  return true;
}

/* The last input. */
const TfLiteEvalTensor* SubnetTensor(const Context* context, const Node* node) {
  return GetEvalInput(context, node, node->inputs->size - 1);
}

int32_t SubnetOfTensor(Context* context, const Node* node, const Options& options) {
  const int32_t subnet = *GetTensorData<int32_t>(SubnetTensor(context, node));
  MicroContext* micro = GetMicroContext(context);
  if (subnet < 0 || subnet >= options.subnet_count) {
    Fail(micro, "the model has no such subnet as its input tensor selects");
    return -1;
  }
  if (options.first) FindState(micro)->active = subnet; /* only to report it */
  return subnet;
}

}  // namespace

reds_tflm_state* FindState(MicroContext* micro) {
  /* Another's external context (Ethos-U has one) does not begin with our number. */
  auto* state = static_cast<reds_tflm_state*>(micro->external_context());
  const bool ours = state != nullptr && state->magic == REDS_TFLM_MAGIC;
  return ours ? state : &reds_tflm_default_state;
}

TfLiteStatus Fail(MicroContext* micro, const char* reason) {
  FindState(micro)->error = reason;
  return kTfLiteError;
}

const char* InitOptions(MicroContext* micro, const uint8_t* bytes, size_t length,
                        Options* options) {
  const char* wrong = reds_options::ReadCounts(bytes, length, options);
  if (wrong != nullptr) return wrong;
  const int32_t inputs = options->input_count;
  auto* numbers = Allocate<int32_t>(micro, inputs + (inputs + 1) * options->subnet_count);
  if (numbers == nullptr) return kArenaTooSmall;
  options->positions = numbers;
  options->outputs = options->positions + inputs;
  options->inputs = options->outputs + options->subnet_count;
  return reds_options::ReadOptions(bytes, length, options);
}

void PrepareState(MicroContext* micro, const Options& options) {
  if (!options.first || options.subnet_input) return;
  reds_tflm_state* state = FindState(micro);
  state->subnet_count = options.subnet_count;
  state->requested = state->active = state->subnet_count - 1;
}

int32_t ActiveSubnet(Context* context, const Node* node, const Options& options) {
  if (options.subnet_input) return SubnetOfTensor(context, node, options);
  MicroContext* micro = GetMicroContext(context);
  reds_tflm_state* state = FindState(micro);
  /* The first op latches, so that a store from an interrupt never mixes widths. */
  const bool ours = state->subnet_count == options.subnet_count;
  if (ours && options.first) state->active = state->requested;
  if (ours && 0 <= state->active && state->active < options.subnet_count) return state->active;
  Fail(micro, "the state belongs to another model: see reds_tflm.h");
  return -1;
}

bool HasInputs(const Context* context, const Node* node, const Options& options, int count) {
  if (node->outputs->size != 1) return false;
  if (!options.subnet_input) return node->inputs->size == count;
  if (node->inputs->size != count + 1) return false;
  const TfLiteEvalTensor* subnet = SubnetTensor(context, node);
  return subnet != nullptr && subnet->type == kTfLiteInt32 && subnet->dims != nullptr &&
         subnet->dims->size == 1 && subnet->dims->data[0] == 1;
}

bool ReadInputZeroPoint(MicroContext* micro, const Node* node, int index, int32_t* zero_point) {
  return ReadZeroPoint(micro, micro->AllocateTempInputTensor(node, index), zero_point);
}

bool ReadOutputZeroPoint(MicroContext* micro, const Node* node, int32_t* zero_point) {
  return ReadZeroPoint(micro, micro->AllocateTempOutputTensor(node, 0), zero_point);
}

bool RequestScratch(MicroContext* micro, size_t bytes, int* index) {
  *index = kNoScratch;
  return bytes == 0 || micro->RequestScratchBufferInArena(bytes, index) == kTfLiteOk;
}

bool ReadActivationDims(const TfLiteEvalTensor* tensor, int32_t positions, reds_dims* dims) {
  if (tensor == nullptr || tensor->dims == nullptr || tensor->type != kTfLiteInt8) return false;
  const int rank = tensor->dims->size;
  const int* sizes = tensor->dims->data;
  if ((rank != 2 && rank != 4) || sizes[0] != 1) return false;
  const int32_t channels = sizes[rank - 1] / positions;
  *dims = rank == 4 ? reds_dims{sizes[1], sizes[2], channels, channels}
                    : reds_dims{positions, 1, channels, channels};
  return channels > 0 && channels * positions == sizes[rank - 1] && (rank == 2 || positions == 1);
}

TfLiteStatus Finish(MicroContext* micro, reds_status status, int32_t zero_point,
                    const reds_dims& output_dims, int8_t* output) {
  if (status == REDS_OK) status = reds_fill_tail_s8(zero_point, &output_dims, output);
  return status == REDS_OK ? kTfLiteOk : Fail(micro, "a kernel refuses its shapes");
}

}  // namespace reds
}  // namespace micro
}  // namespace tflite
