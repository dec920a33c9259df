/* etvk: an independent Vulkan backend for ExecuTorch programs. C ABI.
 *
 * DRAFT, to be replaced by what cbindgen makes of src/ffi.
 *
 * Rules, for every function:
 *  1. A function that can fail returns etvk_status; outputs are written only on ETVK_STATUS_OK.
 *  2. Handles are opaque, made by ..._create, ended by ..._destroy (null is ignored).
 *     One thread per delegate at a time is the rule for speed; a second thread waits on a lock.
 *  3. Inputs are borrowed for the call. The library never keeps a caller's pointer and never
 *     returns memory to free.
 *  4. etvk_last_error() is per thread, library-owned, valid until that thread's next etvk_ call,
 *     empty after success.
 *  5. Enumerations cross the ABI as integers; unknown numbers are ETVK_STATUS_INVALID_ARGUMENT.
 */
#ifndef ETVK_H
#define ETVK_H
#include <stddef.h>
#include <stdint.h>

#define ETVK_ABI_VERSION 1
#define ETVK_MAX_RANK 8
#define ETVK_REASON_SIZE 160

enum etvk_status {
  ETVK_STATUS_OK = 0,
  ETVK_STATUS_INVALID_ARGUMENT = 1,   /* null, wrong size, wrong dtype, wrong shape, bad option */
  ETVK_STATUS_INVALID_BLOB = 2,       /* header, flatbuffer or graph is malformed */
  ETVK_STATUS_UNSUPPORTED = 3,        /* a known operator with arguments that are not supported */
  ETVK_STATUS_UNKNOWN_OPERATOR = 4,
  ETVK_STATUS_MISSING_DATA = 5,       /* a named constant that the host could not supply */
  ETVK_STATUS_OUT_OF_MEMORY = 6,      /* host, device, or over a stated limit */
  ETVK_STATUS_NO_DEVICE = 7,          /* no Vulkan loader, no device, or not the one asked for */
  ETVK_STATUS_DEVICE_LOST = 8,
  ETVK_STATUS_INTERNAL = 9,
  ETVK_STATUS_PANIC = 10,
};
typedef int32_t etvk_status;

enum etvk_dtype {                      /* numbers of the VK00 schema */
  ETVK_DTYPE_BOOL = 0, ETVK_DTYPE_UINT8 = 1, ETVK_DTYPE_INT8 = 2, ETVK_DTYPE_INT32 = 3,
  ETVK_DTYPE_FLOAT16 = 4, ETVK_DTYPE_FLOAT32 = 5, ETVK_DTYPE_FLOAT64 = 6, ETVK_DTYPE_INT64 = 7,
};

typedef struct etvk_delegate etvk_delegate;

typedef struct etvk_option { const char *key; const char *value; } etvk_option;

/* Supplies a named constant. Returns 0 and sets *data, *size_bytes, *token; any other number means
 * that it is not there. The bytes stay valid until release(context, token). */
typedef int32_t (*etvk_named_data_get)(void *context, const char *key, const void **data,
                                       size_t *size_bytes, void **token);
typedef void (*etvk_named_data_release)(void *context, void *token);

typedef struct etvk_create_info {
  uint32_t struct_size;                /* sizeof(etvk_create_info) */
  uint32_t option_count;
  const etvk_option *options;          /* "workspace_bytes", ...; the environment fills what is not given */
  const void *blob;
  size_t blob_size_bytes;
  etvk_named_data_get named_data_get;  /* may be null when every constant is inline */
  etvk_named_data_release named_data_release; /* may be null */
  void *named_data_context;
} etvk_create_info;

enum etvk_port_kind { ETVK_PORT_TENSOR = 0, ETVK_PORT_INTEGER = 1 };

/* An input or output as the program is set up now (dims), and at most (max_dims). */
typedef struct etvk_port {
  uint32_t kind;                       /* etvk_port_kind */
  uint32_t dtype;                      /* what the host passes: etvk_dtype */
  uint32_t rank;
  uint32_t dims[ETVK_MAX_RANK];
  uint32_t max_dims[ETVK_MAX_RANK];
  uint64_t size_bytes;                 /* contiguous, of dims and dtype */
} etvk_port;

/* One input of etvk_delegate_resize. integer is read for ETVK_PORT_INTEGER inputs. */
typedef struct etvk_input_shape {
  uint32_t rank;
  uint32_t dims[ETVK_MAX_RANK];
  int64_t integer;
} etvk_input_shape;

/* Host memory of one input or output. dtype may differ from the port's where PyTorch widens:
 * int64 for an int32 port, float64 or float16 for a float32 port, float32 for a float16 port.
 * dim_order: rank entries, outermost dimension first; null means contiguous (0, 1, 2, ...). */
typedef struct etvk_tensor {
  void *data;                          /* inputs are not written */
  size_t size_bytes;
  uint32_t dtype;
  uint32_t rank;
  uint32_t dims[ETVK_MAX_RANK];        /* must equal the port's current dims */
  const uint8_t *dim_order;
} etvk_tensor;

typedef struct etvk_memory {
  uint64_t workspace_bytes;            /* asked from the driver for convolution workspace */
  uint64_t workspace_budget_bytes;
  uint64_t activation_bytes;
  uint64_t weight_bytes;
  uint64_t staging_bytes;
  uint64_t driver_bytes;               /* all device memory of this delegate, as allocated */
  uint64_t driver_allocations;
} etvk_memory;

enum etvk_conv_algorithm {
  ETVK_CONV_POINTWISE = 0, ETVK_CONV_DEPTHWISE = 1, ETVK_CONV_DIRECT = 2, ETVK_CONV_IM2COL = 3,
};

typedef struct etvk_convolution {
  uint32_t node;                       /* node id in the blob */
  uint32_t n, c_in, h_in, w_in, c_out, h_out, w_out;
  uint32_t kernel[2], stride[2], padding[2], dilation[2], groups, transposed;
  uint32_t algorithm;                  /* etvk_conv_algorithm */
  uint32_t h_out_tile, w_out_tile, tile_count, dispatch_count;
  uint64_t workspace_bytes;            /* of this convolution, of the shared workspace */
  uint64_t moved_bytes;                /* predicted device memory traffic */
  char reason[ETVK_REASON_SIZE];       /* why this algorithm, NUL-terminated */
} etvk_convolution;

uint32_t etvk_abi_version(void);
const char *etvk_version(void);                       /* "0.1.0" */
const char *etvk_status_name(etvk_status status);     /* "ETVK_STATUS_OK"; never null */
const char *etvk_last_error(void);

/* OK when a Vulkan device can be opened with these options (may be null, 0). */
etvk_status etvk_probe(const etvk_option *options, uint32_t option_count);

etvk_status etvk_delegate_create(const etvk_create_info *info, etvk_delegate **out);
void etvk_delegate_destroy(etvk_delegate *delegate);

etvk_status etvk_delegate_input_count(const etvk_delegate *delegate, uint32_t *out);
etvk_status etvk_delegate_output_count(const etvk_delegate *delegate, uint32_t *out);
etvk_status etvk_delegate_input(const etvk_delegate *delegate, uint32_t index, etvk_port *out);
etvk_status etvk_delegate_output(const etvk_delegate *delegate, uint32_t index, etvk_port *out);

/* Sets the dims of all inputs at once; on error nothing changes. Outputs then tell their new dims. */
etvk_status etvk_delegate_resize(etvk_delegate *delegate, const etvk_input_shape *inputs, uint32_t input_count);

/* Runs once and waits. Outputs are written only on success. */
etvk_status etvk_delegate_execute(etvk_delegate *delegate, const etvk_tensor *inputs, uint32_t input_count,
                                  const etvk_tensor *outputs, uint32_t output_count);

etvk_status etvk_delegate_memory(const etvk_delegate *delegate, etvk_memory *out);
etvk_status etvk_delegate_convolution_count(const etvk_delegate *delegate, uint32_t *out);
etvk_status etvk_delegate_convolution(const etvk_delegate *delegate, uint32_t index, etvk_convolution *out);
/* Everything as JSON text. Writes at most size bytes with the NUL; *needed is the whole length with it.
 * buffer may be null when size is 0. */
etvk_status etvk_delegate_report(const etvk_delegate *delegate, char *buffer, size_t size, size_t *needed);
/* Name of the device, same convention. */
etvk_status etvk_delegate_device_name(const etvk_delegate *delegate, char *buffer, size_t size, size_t *needed);

#endif
