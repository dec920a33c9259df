// What libexecutorch_backend_etvk offers beside the C ABI of etvk.h.
#pragma once

#include <stdint.h>

#include "etvk.h"

#if defined(_WIN32)
#define ETVK_BACKEND_API __declspec(dllexport)
#else
#define ETVK_BACKEND_API __attribute__((visibility("default")))
#endif

extern "C" {

// Registers "VulkanBackend" with the ExecuTorch runtime of this process. The shared library does
// it when it is loaded; a host that links statically calls it once before it loads a program.
// Idempotent. Log records of the library go to ExecuTorch's log from then on; a host that wants
// them calls etvk_set_log_callback afterwards. Returns an executorch::runtime::Error number: 0, or why the runtime refused, for
// example because another backend already holds the name.
ETVK_BACKEND_API uint32_t etvk_register_backend(void);

// The delegates that live now, in order of creation. A returned pointer is borrowed: it ends with
// the executorch Method that owns it. Null when index is out of range.
ETVK_BACKEND_API uint32_t etvk_backend_delegate_count(void);
ETVK_BACKEND_API etvk_delegate* etvk_backend_delegate(uint32_t index);

// Why this thread's last init, execute or set_option of the backend failed, untruncated (the
// runtime's log cuts lines). Never null; empty when the last one succeeded. Owned by the library.
ETVK_BACKEND_API const char* etvk_backend_last_error(void);

}  // extern "C"
