// What libetvk_allocation_layer.so exports for a test in the same process: the test opens the
// library by the path that the Vulkan loader has, so that both see one state. Numbers of results
// are those of VkResult.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum etvk_fault_mode {
  ETVK_FAULT_ONCE,     // the n-th call of the function
  ETVK_FAULT_FROM_ON,  // that and every later call of the function
  ETVK_FAULT_ALL       // that, and from then on every function that can give the result
} etvk_fault_mode;

// Functions that can fail, from 0; null behind the last.
const char *etvk_layer_function(uint32_t function);
// The results that they can fail with, from 0; 0 (success) behind the last.
int32_t etvk_layer_result(uint32_t function, uint32_t index);
// Calls of the function since the last arming.
uint64_t etvk_layer_calls(uint32_t function);
// Lets a call fail from now on, counting from 1; 0 for none.
void etvk_layer_arm(uint32_t function, uint64_t ordinal, int32_t result, etvk_fault_mode mode);
// Calls that failed since the last arming.
uint64_t etvk_layer_fired(void);
// Kinds of objects that were ever made, from 0; null behind the last. `live` is how many there are.
const char *etvk_layer_objects(uint32_t index, uint64_t *live);
// Device memory that lives, and the most that lived since the last call.
void etvk_layer_memory(uint64_t *live_bytes, uint64_t *peak_bytes);

#ifdef __cplusplus
}
#endif
