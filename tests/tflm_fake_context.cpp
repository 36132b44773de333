/* A TFLM without TFLM: one REDS_FULLY_CONNECTED node in each of two independent contexts, so that
 * external contexts and damaged options can be tested without an interpreter. TFLM's own functions are
 * those of tflm_context. */
#include <string.h>
#include <sys/mman.h>

#include "reds_tflm.h"

namespace {

constexpr int kFeatures = 4;
constexpr int kUnits = 3;
constexpr int kEntries = 4; /* subnets of 1 and 3 units */
constexpr int kOutput = 5;
constexpr int kTensors = 7;

/* TfLiteIntArray: the size, then the values. */
int input_dims[] = {2, 1, kFeatures};
int weights_dims[] = {2, kUnits + 1, kFeatures}; /* an even number of rows */
int table_dims[] = {1, kEntries};
int output_dims[] = {2, 1, kUnits};
int subnet_dims[] = {1, 1};
int inputs[] = {5, 0, 1, 2, 3, 4};
int inputs_and_subnet[] = {6, 0, 1, 2, 3, 4, 6};
int outputs[] = {1, kOutput};

int8_t input_data[kFeatures] = {1, 2, 3, 4};
/* Rows of 1, 2 and 3: each pair of bytes is 256 * odd row + even row. */
alignas(4) int8_t weights_data[(kUnits + 1) * kFeatures] = {1, 2, 1, 2, 1, 2, 1, 2,
                                                            3, 0, 3, 0, 3, 0, 3, 0};
int32_t bias_data[kEntries] = {0, 10, 10, 10};
int32_t multiplier_data[kEntries] = {1 << 30, 1 << 30, 1 << 30, 1 << 30};
int8_t shift_data[kEntries] = {1, 1, 1, 1};
int32_t subnet_data = 0; /* the input tensor that selects */

TfLiteIntArray* Dims(int* dims) { return reinterpret_cast<TfLiteIntArray*>(dims); }

class FakeContext : public tflite::MicroContext {
 public:
  void Reset(void* external) {
    used_ = 0;
    external_ = external;
    void* data[kTensors] = {input_data, weights_data, bias_data, multiplier_data, shift_data,
                            output_,    &subnet_data};
    int* dims[kTensors] = {input_dims, weights_dims, table_dims, table_dims, table_dims,
                           output_dims, subnet_dims};
    for (int i = 0; i < kTensors; ++i) {
      const bool is_int32 = i == 2 || i == 3 || i == 6;
      tensors_[i] = {{static_cast<char*>(data[i])}, Dims(dims[i]),
                     is_int32 ? kTfLiteInt32 : kTfLiteInt8};
    }
  }
  int8_t* output() { return output_; }
  void* AllocatePersistentBuffer(size_t bytes) override {
    void* block = arena_ + used_;
    used_ += (bytes + 15) / 16 * 16;
    return used_ <= sizeof arena_ ? block : nullptr;
  }
  TfLiteStatus RequestScratchBufferInArena(size_t bytes, int* index) override {
    *index = 0;
    return bytes <= sizeof scratch_ ? kTfLiteOk : kTfLiteError;
  }
  void* GetScratchBuffer(int) override { return scratch_; }
  TfLiteTensor* AllocateTempTfLiteTensor(int index) override {
    full_[index != 0] = TfLiteTensor();
    full_[index != 0].params.zero_point = index == 0 ? 0 : -7;
    return &full_[index != 0];
  }
  void DeallocateTempTfLiteTensor(TfLiteTensor*) override {}
  uint8_t* AllocateTempBuffer(size_t, size_t) override { return nullptr; }
  void DeallocateTempBuffer(uint8_t*) override {}
  TfLiteEvalTensor* GetEvalTensor(int index) override { return &tensors_[index]; }
  TfLiteStatus set_external_context(void*) override { return kTfLiteOk; }
  void* external_context() override { return external_; }

 private:
  alignas(16) uint8_t arena_[4096];
  alignas(16) uint8_t scratch_[1024];
  size_t used_;
  void* external_;
  TfLiteEvalTensor tensors_[kTensors];
  TfLiteTensor full_[2];
  int8_t output_[kUnits];
};

FakeContext contexts[2];
TfLiteNode nodes[2];
reds_tflm_state own_state = REDS_TFLM_STATE;
uint32_t foreign_state[8] = {12345, 1, 1, 1, 1, 1, 1, 1};

/* Ends at a page that cannot be read: one byte too far is a fault. */
const char* Guarded(const char* bytes, size_t length) {
  constexpr size_t kPage = 4096;
  static char* pages = nullptr;
  if (pages == nullptr) {
    void* mapped = mmap(nullptr, 2 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                        -1, 0);
    pages = static_cast<char*>(mapped);
    mprotect(pages + kPage, kPage, PROT_NONE);
  }
  char* start = pages + kPage - length;
  memcpy(start, bytes, length);
  return start;
}

TfLiteContext Bind(int index) {
  TfLiteContext context = {};
  context.impl_ = &contexts[index];
  return context;
}

}  // namespace

/* Init and Prepare of node `index`; external: 0 none, 1 ours, 2 somebody else's, 3 none, but the
 * node has an input tensor that selects. */
extern "C" int fake_prepare(int index, const char* options, size_t length, int external) {
  void* states[] = {nullptr, &own_state, foreign_state, nullptr};
  contexts[index].Reset(states[external]);
  TfLiteContext context = Bind(index);
  const TFLMRegistration op = reds::RegisterFullyConnected();
  nodes[index] = {};
  nodes[index].inputs = Dims(external == 3 ? inputs_and_subnet : inputs);
  nodes[index].outputs = Dims(outputs);
  nodes[index].user_data = op.init(&context, Guarded(options, length), length);
  return op.prepare(&context, &nodes[index]);
}

extern "C" int fake_invoke(int index, int8_t* output) {
  TfLiteContext context = Bind(index);
  const int status = reds::RegisterFullyConnected().invoke(&context, &nodes[index]);
  memcpy(output, contexts[index].output(), kUnits);
  return status;
}

extern "C" void fake_select(int subnet) { subnet_data = subnet; }

extern "C" int fake_set_own_subnet(int subnet) {
  return reds_tflm_state_set_subnet(&own_state, subnet);
}
