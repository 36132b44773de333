/* Adds our ops to the resolver of the `tflite-micro` wheel, or puts our kernels under its stock ops;
 * the wheel looks these functions up by name.
 *
 * The wheel does not export MicroMutableOpResolver<200>::AddCustom, so the ops are written into the
 * resolver by its layout; tflm_reds/tflm_wheel.py checks that the wheel has this very resolver. */
#include <stddef.h>
#include <string.h>

#include "reds_tflm.h"

namespace tflite {
namespace micro {
namespace reds {

namespace {

constexpr unsigned kCapacity = 200;
/* BuiltinOperator of TFLite's schema. */
constexpr int32_t kBuiltinConvolution = 3;
constexpr int32_t kBuiltinDepthwise = 4;
constexpr int32_t kBuiltinFullyConnected = 9;
constexpr int32_t kBuiltinCustom = 32;

struct WheelResolver {
  void* virtual_table;
  Registration registrations[kCapacity];
  unsigned length;

  bool HasOp(const char* name) const {
    for (unsigned i = 0; i < length; ++i) {
      const char* other = registrations[i].custom_name;
      if (other != nullptr && strcmp(other, name) == 0) return true;
    }
    return false;
  }

  TfLiteStatus AddCustom(const char* name, const Registration* registration) {
    if (length >= kCapacity || HasOp(name)) return kTfLiteError;
    registrations[length] = *registration;
    registrations[length].builtin_code = kBuiltinCustom;
    registrations[length].custom_name = name;
    ++length;
    return kTfLiteOk;
  }
};

/* Replaces a stock op; false if the wheel has none. */
bool Replace(WheelResolver* resolver, int32_t builtin_code, Registration registration) {
  for (unsigned i = 0; i < resolver->length; ++i) {
    if (resolver->registrations[i].builtin_code != builtin_code) continue;
    registration.builtin_code = builtin_code;
    resolver->registrations[i] = registration;
    return true;
  }
  return false;
}

static_assert(sizeof(Registration) == 56, "TFLMRegistration of a 64-bit wheel");
static_assert(offsetof(WheelResolver, length) == 0x2bc8, "MicroMutableOpResolver<200>");

}  // namespace

extern "C" bool reds_tflm_register(void* resolver) {
  return AddOps(*static_cast<WheelResolver*>(resolver));
}

extern "C" bool reds_tflm_replace_stock(void* resolver) {
  auto* wheel = static_cast<WheelResolver*>(resolver);
  return Replace(wheel, kBuiltinConvolution, RegisterStockConvolution()) &&
         Replace(wheel, kBuiltinDepthwise, RegisterStockDepthwiseConvolution()) &&
         Replace(wheel, kBuiltinFullyConnected, RegisterStockFullyConnected());
}

}  // namespace reds
}  // namespace micro
}  // namespace tflite
