// Only in the shared library: registers the backend when it is loaded. A refusal is logged by
// etvk_register_backend and the process lives on.
#include "backend.h"

namespace {
[[maybe_unused]] const uint32_t registered = etvk_register_backend();
}
