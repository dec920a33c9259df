// Element type of activations and weights in memory; arithmetic is 32-bit everywhere.
#ifdef HALF
#define STORAGE float16_t
#define STORAGE4 f16vec4
#else
#define STORAGE float
#define STORAGE4 vec4
#endif
