/* See header_twice_a.c. */
#include "etvk.h"
#include "etvk.h"

uint32_t header_twice_b(void);

uint32_t header_twice_b(void) { return ETVK_ABI_VERSION; }
