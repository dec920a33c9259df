/* With header_twice_b.c: etvk.h can be included twice, and in two translation units. */
#include "etvk.h"
#include "etvk.h"

uint32_t header_twice_b(void);
uint32_t header_twice_a(void);

uint32_t header_twice_a(void) { return header_twice_b() == ETVK_ABI_VERSION ? 1u : 0u; }
