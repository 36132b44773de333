/* Our own minimal declarations of TensorFlow Lite Micro: just what the ops use, with the layout of
 * the compiled runtime in the `tflite-micro` wheel (built with TF_LITE_STATIC_MEMORY). They let the
 * ops be compiled without TFLM's sources; with a TFLM tree its own headers take their place.
 *
 * REDS_TFLM_ABI tells the generation:
 *   1  C types in the global namespace, classes in tflite
 *   2  everything in tflite::micro, and a context without function pointers */
#ifndef REDS_DECLARATIONS_MICRO_CONTEXT_H_
#define REDS_DECLARATIONS_MICRO_CONTEXT_H_

#include <stddef.h>
#include <stdint.h>

#if REDS_TFLM_ABI == 1
#define REDS_BEGIN_TYPES
#define REDS_END_TYPES
#define REDS_BEGIN_CLASSES namespace tflite {
#define REDS_END_CLASSES }
#elif REDS_TFLM_ABI == 2
#define REDS_BEGIN_TYPES namespace tflite { namespace micro {
#define REDS_END_TYPES } }
#define REDS_BEGIN_CLASSES REDS_BEGIN_TYPES
#define REDS_END_CLASSES REDS_END_TYPES
#else
#error "Define REDS_TFLM_ABI as 1 or 2: the generation of the TFLM runtime that loads the ops"
#endif

REDS_BEGIN_TYPES

enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };

enum TfLiteType { kTfLiteInt32 = 2, kTfLiteInt8 = 9 };

struct TfLiteIntArray {
  int size;
  int data[];
};

struct TfLiteFloatArray {
  int size;
  float data[];
};

struct TfLiteAffineQuantization {
  TfLiteFloatArray* scale;
  TfLiteIntArray* zero_point;
  int32_t quantized_dimension;
};

struct TfLiteQuantizationParams {
  float scale;
  int32_t zero_point;
};

struct TfLiteQuantization {
  int type;
  void* params;
};

union TfLitePtrUnion {
  char* raw;
};

struct TfLiteTensor {
  TfLiteQuantization quantization;
  TfLiteQuantizationParams params;
  TfLitePtrUnion data;
  TfLiteIntArray* dims;
  size_t bytes;
  TfLiteType type;
  int allocation_type;
  bool is_variable;
};

struct TfLiteEvalTensor {
  TfLitePtrUnion data;
  TfLiteIntArray* dims;
  TfLiteType type;
};

struct TfLiteNode {
  TfLiteIntArray* inputs;
  TfLiteIntArray* outputs;
  TfLiteIntArray* intermediates;
  void* user_data;
  void* builtin_data;
  const void* custom_initial_data;
  int custom_initial_data_size;
};

struct TfLiteContext {
#if REDS_TFLM_ABI == 1
  size_t tensors_size;
  void (*get_execution_plan)();
  TfLiteTensor* tensors;
#endif
  void* impl_;
};

struct TFLMRegistration {
  void* (*init)(TfLiteContext* context, const char* buffer, size_t length);
  void (*free)(TfLiteContext* context, void* buffer);
  TfLiteStatus (*prepare)(TfLiteContext* context, TfLiteNode* node);
  TfLiteStatus (*invoke)(TfLiteContext* context, TfLiteNode* node);
  void (*reset)(TfLiteContext* context, void* buffer);
  int32_t builtin_code;
  const char* custom_name;
};

REDS_END_TYPES

REDS_BEGIN_CLASSES

/* The order of the virtual functions is the interface. */
class MicroContext {
 public:
  virtual ~MicroContext() = default;
  virtual void* AllocatePersistentBuffer(size_t bytes) = 0;
  virtual TfLiteStatus RequestScratchBufferInArena(size_t bytes, int* buffer_index) = 0;
  virtual void* GetScratchBuffer(int buffer_index) = 0;
  virtual TfLiteTensor* AllocateTempTfLiteTensor(int tensor_index) = 0;
  TfLiteTensor* AllocateTempInputTensor(const TfLiteNode* node, int index);
  TfLiteTensor* AllocateTempOutputTensor(const TfLiteNode* node, int index);
  virtual void DeallocateTempTfLiteTensor(TfLiteTensor* tensor) = 0;
  virtual uint8_t* AllocateTempBuffer(size_t size, size_t alignment) = 0;
  virtual void DeallocateTempBuffer(uint8_t* buffer) = 0;
  virtual TfLiteEvalTensor* GetEvalTensor(int tensor_index) = 0;
  virtual TfLiteStatus set_external_context(void* external_context) = 0;
  virtual void* external_context() = 0;
};

inline MicroContext* GetMicroContext(const TfLiteContext* context) {
  return static_cast<MicroContext*>(context->impl_);
}

REDS_END_CLASSES

#endif  // REDS_DECLARATIONS_MICRO_CONTEXT_H_
