/* Adds our ops to the resolver of the `tflite-micro` wheel, which looks this function up by name.
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
constexpr int32_t kBuiltinCustom = 32; /* BuiltinOperator_CUSTOM of TFLite's schema */

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

static_assert(sizeof(Registration) == 56, "TFLMRegistration of a 64-bit wheel");
static_assert(offsetof(WheelResolver, length) == 0x2bc8, "MicroMutableOpResolver<200>");

}  // namespace

extern "C" bool reds_tflm_register(void* resolver) {
  return AddOps(*static_cast<WheelResolver*>(resolver));
}

}  // namespace reds
}  // namespace micro
}  // namespace tflite
