/* Nested int8 layers as custom ops of TensorFlow Lite Micro.
 *
 *   tflite::MicroMutableOpResolver<reds::kOpCount + 1> resolver;
 *   reds::AddOps(resolver);
 *   resolver.AddSoftmax();           // if the model has one; a few need RESHAPE, too
 *   tflite::MicroInterpreter interpreter(model, resolver, arena, sizeof arena);
 *   interpreter.AllocateTensors();   // selects the full network
 *   reds_tflm_set_subnet(0);         // one store: also from an interrupt
 *   interpreter.Invoke();            // the first of our ops latches the subnet for all
 *
 * Several interpreters in one program each need a state of their own, set before AllocateTensors:
 *
 *   reds_tflm_state state = REDS_TFLM_STATE;
 *   interpreter.SetMicroExternalContext(&state);
 *   reds_tflm_state_set_subnet(&state, 0);
 *
 * A model written with `subnet_input` needs none of that: its second input, int32 [1], is the subnet
 * of the invocation. Invoke fails where there is no such subnet; reds_tflm_error tells so.
 *
 * The same sources compile on every generation of TFLM since 2023, as C++14. */
#ifndef REDS_TFLM_H_
#define REDS_TFLM_H_

#include "reds_tflm_state.h"
#include "tensorflow/lite/micro/kernels/kernel_util.h"
#include "tensorflow/lite/micro/micro_context.h"

/* Trees before October 2026 change the layout of their tensors with this macro. Arduino's libraries
 * and Zephyr's module are compiled without it. */
#if defined(TENSORFLOW_LITE_CORE_C_COMMON_H_) || defined(TENSORFLOW_LITE_C_COMMON_H_)
#if !defined(TF_LITE_STATIC_MEMORY) && !defined(ARDUINO) && !defined(__ZEPHYR__)
#error "This TFLM tree needs -DTF_LITE_STATIC_MEMORY, as its library was compiled with"
#endif
#endif

/* Unqualified names resolve from here both in old trees (::TfLiteContext, tflite::MicroContext) and
 * in new ones (tflite::micro::TfLiteContext, tflite::micro::MicroContext). */
namespace tflite {
namespace micro {
namespace reds {

using Context = TfLiteContext;
using Node = TfLiteNode;
/* TFLMRegistration, or TfLiteRegistration in trees of 2023. */
using Registration =
    decltype(RegisterOp(static_cast<void* (*)(Context*, const char*, size_t)>(nullptr),
                        static_cast<TfLiteStatus (*)(Context*, Node*)>(nullptr),
                        static_cast<TfLiteStatus (*)(Context*, Node*)>(nullptr)));

constexpr int kOpCount = 11;

Registration RegisterConvolution();
Registration RegisterDepthwiseConvolution();
Registration RegisterFullyConnected();
Registration RegisterAdd();
Registration RegisterPrelu();
Registration RegisterLookup();
Registration RegisterConcatenation();
Registration RegisterMaxPool();
Registration RegisterAveragePool();
Registration RegisterMean();
Registration RegisterPad();

/* Our kernels under the stock ops of any int8 model of batch 1, such as model_full.tflite:
 *   resolver.AddConv2D(reds::RegisterStockConvolution()); */
Registration RegisterStockConvolution();
Registration RegisterStockDepthwiseConvolution();
Registration RegisterStockFullyConnected();

/* Adds these three to a MicroMutableOpResolver; false if it is full or has one already. */
template <class Resolver>
bool AddStockOps(Resolver& resolver) {
  return resolver.AddConv2D(RegisterStockConvolution()) == kTfLiteOk &&
         resolver.AddDepthwiseConv2D(RegisterStockDepthwiseConvolution()) == kTfLiteOk &&
         resolver.AddFullyConnected(RegisterStockFullyConnected()) == kTfLiteOk;
}

struct NamedOp {
  const char* name; /* in the model file */
  Registration (*make)();
};

extern const NamedOp kOps[kOpCount];

/* Adds all kOpCount ops to a MicroMutableOpResolver; false if it is full or has them already. The
 * model may also need the stock ops RESHAPE and SOFTMAX. */
template <class Resolver>
bool AddOps(Resolver& resolver) {
  for (const NamedOp& op : kOps) {
    Registration registration = op.make();
    if (resolver.AddCustom(op.name, &registration) != kTfLiteOk) return false;
  }
  return true;
}

}  // namespace reds
}  // namespace micro
}  // namespace tflite

namespace reds = tflite::micro::reds;

#endif  // REDS_TFLM_H_
