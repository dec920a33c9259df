/* etvk: an independent Vulkan backend for ExecuTorch programs. The C ABI.
 *
 * Made of src/shell/ffi by tests/header.rs; not to be edited.
 *
 * Rules, for every function:
 *  1. A function that can fail returns etvk_status; outputs are written only on ETVK_STATUS_OK.
 *  2. Handles are opaque, made by ..._create, ended by ..._destroy. Null, garbage and destroyed
 *     handles are ETVK_STATUS_INVALID_ARGUMENT, and ignored by ..._destroy. One thread per delegate
 *     is the rule for speed: a second one waits on a lock. Delegates are independent.
 *  3. Inputs are borrowed for the call. The library never keeps a caller's pointer, but for the
 *     log callback and its context, and never returns memory to free. A pointer that is not null
 *     must point at what its type says. Callbacks must return: an exception or a pthread_exit that
 *     leaves one ends the process, and longjmp is not defined. Nothing may unwind the frames of this
 *     library: it would go on in the caller as if its locks had been let go of.
 *  4. etvk_last_error() is per thread, library-owned, valid until that thread's next call of a
 *     function that can fail or of ..._destroy, and empty after success.
 *  5. Enumerations cross the ABI as integers; unknown numbers are ETVK_STATUS_INVALID_ARGUMENT.
 *     Every uint32_t that stands for one names it.
 *  6. Options that are not given come from the environment: ETVK_WORKSPACE_BYTES for
 *     "workspace_bytes". Unknown keys and wrong values are errors.
 *  7. Drivers do not survive fork(). Once a process has called for a device (etvk_probe,
 *     ..._create, ..._add), every function that can fail is ETVK_STATUS_NO_DEVICE in its children,
 *     and ..._destroy does nothing there. Fork before that, or exec.
 */

#ifndef ETVK_H
#define ETVK_H

#include <stddef.h>
#include <stdint.h>

// Grows when a structure or a function changes its meaning; additions leave it.
#define ETVK_ABI_VERSION 1

// First number of the library's version.
#define ETVK_VERSION_MAJOR 0

// Second number of the library's version.
#define ETVK_VERSION_MINOR 1

// Third number of the library's version.
#define ETVK_VERSION_PATCH 0

// Most dimensions of a tensor.
#define ETVK_MAX_RANK 8

// Size of etvk_convolution.reason, its NUL included.
#define ETVK_REASON_SIZE 160

// Size of the names in etvk_profile_event, their NUL included.
#define ETVK_NAME_SIZE 96

// etvk_profile_event.node of what no node of the program asked for.
#define ETVK_NO_NODE UINT32_MAX

// What a call ended with. The numbers are frozen.
enum etvk_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Done; outputs are written.
  ETVK_STATUS_OK = 0,
  // Null, a wrong size, dtype or shape, a bad option.
  ETVK_STATUS_INVALID_ARGUMENT = 1,
  // Header, flatbuffer or graph of the blob is malformed.
  ETVK_STATUS_INVALID_BLOB = 2,
  // A known operator with arguments that are not supported.
  ETVK_STATUS_UNSUPPORTED = 3,
  // An operator that this library does not know.
  ETVK_STATUS_UNKNOWN_OPERATOR = 4,
  // A named constant that the host could not supply.
  ETVK_STATUS_MISSING_DATA = 5,
  // Host or device memory, or a stated limit, is too small.
  ETVK_STATUS_OUT_OF_MEMORY = 6,
  // No Vulkan loader, no device, not the one asked for, or a process that was forked (rule 7).
  ETVK_STATUS_NO_DEVICE = 7,
  // The device was lost: every later call says so too. Destroy its delegates and create again.
  ETVK_STATUS_DEVICE_LOST = 8,
  // A broken invariant of the library, or a message of the validation layer.
  ETVK_STATUS_INTERNAL = 9,
  // A panic was caught; the delegate can only be destroyed.
  ETVK_STATUS_PANIC = 10,
  // The device did not finish within the time of the option timeout_ms. It counts as lost from now
  // on, and memory that it may still use is never freed.
  ETVK_STATUS_TIMEOUT = 11,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum etvk_status etvk_status;
#else
typedef int32_t etvk_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Element types; the numbers are those of serialized programs.
enum etvk_dtype
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  ETVK_DTYPE_BOOL = 0,
  ETVK_DTYPE_UINT8 = 1,
  ETVK_DTYPE_INT8 = 2,
  ETVK_DTYPE_INT32 = 3,
  ETVK_DTYPE_FLOAT16 = 4,
  ETVK_DTYPE_FLOAT32 = 5,
  ETVK_DTYPE_FLOAT64 = 6,
  ETVK_DTYPE_INT64 = 7,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum etvk_dtype etvk_dtype;
#else
typedef uint32_t etvk_dtype;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What a port carries.
enum etvk_port_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // A tensor.
  ETVK_PORT_TENSOR = 0,
  // An integer that sizes depend on. It travels as a tensor of one int64 or int32, and an input
  // must be what the last resize said.
  ETVK_PORT_INTEGER = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum etvk_port_kind etvk_port_kind;
#else
typedef uint32_t etvk_port_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// How a convolution is done.
enum etvk_conv_algorithm
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // A matrix product over the input as it lies.
  ETVK_CONV_POINTWISE = 0,
  // One filter per channel.
  ETVK_CONV_DEPTHWISE = 1,
  // Every output element on its own.
  ETVK_CONV_DIRECT = 2,
  // im2col and matrix product, tile by tile in the workspace.
  ETVK_CONV_IM2COL = 3,
  // A matrix product whose left operand is gathered from the input.
  ETVK_CONV_IMPLICIT = 4,
  // Winograd's F(4x4, 3x3), one kernel; sums of parts of the inputs in the workspace.
  ETVK_CONV_WINOGRAD = 5,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum etvk_conv_algorithm etvk_conv_algorithm;
#else
typedef uint32_t etvk_conv_algorithm;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// How much is logged: records of the level and of those before it.
enum etvk_log_level
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  ETVK_LOG_OFF = 0,
  ETVK_LOG_ERROR = 1,
  ETVK_LOG_WARN = 2,
  ETVK_LOG_INFO = 3,
  ETVK_LOG_DEBUG = 4,
  ETVK_LOG_TRACE = 5,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum etvk_log_level etvk_log_level;
#else
typedef uint32_t etvk_log_level;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// A loaded program. Opaque.
typedef struct etvk_delegate etvk_delegate;

// One option. Keys and values are those of the environment variables ETVK_..., in lower case.
typedef struct etvk_option {
  // NUL-terminated, such as "workspace_bytes".
  const char *key;
  // NUL-terminated, such as "16777216".
  const char *value;
} etvk_option;

// Takes a log record: its etvk_log_level, and its text, NUL-terminated and valid for the call. The
// records of a call of this library come on its thread, when it ends and holds no lock; with them
// come those of threads of this library and of the driver. Outside of any call, the driver's come
// on its own threads. It may run on several threads at once. It may call this library, whose
// records are then dropped, but for etvk_set_log_callback, and not on threads of the driver: both
// are ETVK_STATUS_INVALID_ARGUMENT. It must return soon, as rule 3 says. To see the records of a
// call that never ends, let them go to stderr.
typedef void (*etvk_log_callback)(void *context, uint32_t level, const char *message);

// Device memory of the whole process: of all delegates, and of loads that are under way. All but
// the peak is 0 before the first delegate and after the last.
typedef struct etvk_process_memory {
  // Convolution workspaces.
  uint64_t workspace_bytes;
  // Intermediate tensors.
  uint64_t activation_bytes;
  // Packed constants.
  uint64_t weight_bytes;
  // Host-visible inputs, outputs and uploads.
  uint64_t staging_bytes;
  // All of it, as allocated.
  uint64_t driver_bytes;
  // Number of memory objects.
  uint64_t driver_allocations;
  // The most driver_bytes that there were at one time.
  uint64_t peak_driver_bytes;
  // Number of delegates.
  uint64_t delegates;
  // Number of open devices.
  uint64_t devices;
} etvk_process_memory;

// Supplies a named constant. Returns 0 and sets *data, *size_bytes and *token; any other number
// means that it is not there. The bytes stay valid until release(context, token). Both are called
// on the thread of etvk_delegate_create, and may call this library.
typedef int32_t (*etvk_named_data_get)(void *context,
                                       const char *key,
                                       const void **data,
                                       size_t *size_bytes,
                                       void **token);

// Takes back what a successful etvk_named_data_get gave; called exactly once for each.
typedef void (*etvk_named_data_release)(void *context, void *token);

// What etvk_delegate_create takes. Set it to zero, then fill it: later versions append members
// whose zero means what there was before, and a larger struct_size than the library knows is
// accepted as long as the rest is zero.
typedef struct etvk_create_info {
  // sizeof(etvk_create_info).
  uint32_t struct_size;
  // Number of options.
  uint32_t option_count;
  // Options; the environment fills what is not given. May be null when there are none.
  const struct etvk_option *options;
  // The program as the exporter wrote it.
  const void *blob;
  // Its length.
  size_t blob_size_bytes;
  // May be null when every constant is in the blob.
  etvk_named_data_get named_data_get;
  // May be null when nothing has to be released.
  etvk_named_data_release named_data_release;
  // Passed to both.
  void *named_data_context;
} etvk_create_info;

// An input or output as the program is set up now (dims), and at most (max_dims).
typedef struct etvk_port {
  // An etvk_port_kind.
  uint32_t kind;
  // What the host passes: an etvk_dtype.
  uint32_t dtype;
  // Number of dims.
  uint32_t rank;
  // Sizes now, outermost first.
  uint32_t dims[ETVK_MAX_RANK];
  // Sizes at most.
  uint32_t max_dims[ETVK_MAX_RANK];
  // Contiguous, of dims and dtype.
  uint64_t size_bytes;
} etvk_port;

// One input of etvk_delegate_resize.
typedef struct etvk_input_shape {
  // Number of dims; must be the port's.
  uint32_t rank;
  // Sizes, outermost first.
  uint32_t dims[ETVK_MAX_RANK];
  // Read for ETVK_PORT_INTEGER inputs, and only then.
  int64_t integer;
} etvk_input_shape;

// Host memory of one input or output. dtype may differ from the port's as etvk_dtype_fits says.
typedef struct etvk_tensor {
  // The bytes; those of inputs are not written.
  void *data;
  // How many there are; at least what dims and dtype need.
  size_t size_bytes;
  // An etvk_dtype.
  uint32_t dtype;
  // Number of dims.
  uint32_t rank;
  // Must equal the port's current dims.
  uint32_t dims[ETVK_MAX_RANK];
  // rank entries, outermost dimension in memory first; null means contiguous (0, 1, 2, ...).
  const uint8_t *dim_order;
} etvk_tensor;

// Device memory of one delegate.
typedef struct etvk_memory {
  // Asked from the driver for convolution workspace. Of delegates that share one, the earliest
  // tells it and the others tell 0, so that sums are right; so does driver_bytes.
  uint64_t workspace_bytes;
  // What the option workspace_bytes allows.
  uint64_t workspace_budget_bytes;
  // Intermediate tensors.
  uint64_t activation_bytes;
  // Packed constants.
  uint64_t weight_bytes;
  // Host-visible inputs and outputs.
  uint64_t staging_bytes;
  // All device memory of this delegate, as allocated.
  uint64_t driver_bytes;
  // Number of memory objects.
  uint64_t driver_allocations;
} etvk_memory;

// One convolution of the program, for the current dims. Pairs are height, width.
typedef struct etvk_convolution {
  // Node id in the blob.
  uint32_t node;
  uint32_t n;
  uint32_t c_in;
  uint32_t h_in;
  uint32_t w_in;
  uint32_t c_out;
  uint32_t h_out;
  uint32_t w_out;
  uint32_t kernel[2];
  uint32_t stride[2];
  uint32_t padding[2];
  uint32_t dilation[2];
  uint32_t groups;
  // 1 for a transposed convolution.
  uint32_t transposed;
  // An etvk_conv_algorithm.
  uint32_t algorithm;
  // Output rows per tile, at most; h_out where nothing is tiled.
  uint32_t h_out_tile;
  // Output columns per tile, at most.
  uint32_t w_out_tile;
  uint32_t tile_count;
  uint32_t dispatch_count;
  // Of this convolution, of the workspace that all share.
  uint64_t workspace_bytes;
  // Predicted device memory traffic.
  uint64_t moved_bytes;
  // Why this algorithm, NUL-terminated.
  char reason[ETVK_REASON_SIZE];
} etvk_convolution;

// One dispatch of the last run. Times are from the begin of the run on the GPU, in nanoseconds;
// dispatches follow each other without gaps.
typedef struct etvk_profile_event {
  // Node id in the blob, which the exporter's debug maps know; ETVK_NO_NODE for copies between
  // the host's layout and the device's.
  uint32_t node;
  // Number of workgroups in x, y, z.
  uint32_t workgroups[3];
  // When the dispatch before it ended; 0 for the first.
  uint64_t start_ns;
  // When it ended.
  uint64_t end_ns;
  // Operator of the node, such as "aten.convolution.default"; empty without a node. Of nodes
  // that were fused, the first. NUL-terminated.
  char operator_name[ETVK_NAME_SIZE];
  // The kernel, NUL-terminated.
  char kernel[ETVK_NAME_SIZE];
} etvk_profile_event;

// Called around every use of a host's queue, on any thread. It must not call this library, which
// answers ETVK_STATUS_INVALID_ARGUMENT.
typedef void (*etvk_queue_callback)(void *context);

// A Vulkan device that the host opened. Set it to zero, then fill it; what is said of
// etvk_create_info.struct_size holds here too. Nothing here is destroyed by this library, and all
// of it has to stay until etvk_host_device_remove has succeeded.
typedef struct etvk_host_device {
  // sizeof(etvk_host_device).
  uint32_t struct_size;
  // apiVersion of the VkApplicationInfo that the instance was made with: at least 1.1.
  uint32_t api_version;
  // vkGetInstanceProcAddr of the loader that the instance came from.
  const void *get_instance_proc_addr;
  // The VkInstance.
  void *instance;
  // The VkPhysicalDevice, of Vulkan 1.1 or later.
  void *physical_device;
  // The VkDevice.
  void *device;
  // A VkQueue of the device. Work is submitted to it during create, resize and execute.
  void *queue;
  // The queue's family, which must compute.
  uint32_t queue_family;
  // 0.
  uint32_t reserved;
  // The pNext chain of the VkDeviceCreateInfo that the device was made with; read during the call
  // only. No feature is required. Those that are found there are used: 16-bit storage buffers,
  // shaderFloat16, vulkanMemoryModel with cooperativeMatrix. May be null.
  const void *features;
  // Locks the queue, against the host's own threads. Called in pairs with unlock_queue, on one
  // thread, around each submission and not while waiting for it. The host must not hold the lock
  // when it calls this library. Both may be null when no other thread uses the queue during
  // calls of this library.
  etvk_queue_callback lock_queue;
  // See lock_queue.
  etvk_queue_callback unlock_queue;
  // Passed to both.
  void *queue_context;
} etvk_host_device;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// ETVK_ABI_VERSION of the library that is loaded.
uint32_t etvk_abi_version(void);

// Version of the library that is loaded, such as "0.1.0".
const char *etvk_version(void);

// Name of a status, such as "ETVK_STATUS_OK"; never null, whatever the number.
const char *etvk_status_name(int32_t status);

// 1 when a tensor of the etvk_dtype host may be passed for a port of the etvk_dtype port, as an
// input and as an output; 0 when not, and for numbers that are no etvk_dtype. Equal types fit;
// int32 and int64 fit each other; so do float16, float32 and float64. Numbers are rounded to
// nearest, and an integer that the port's type does not hold is an error of the call.
uint32_t etvk_dtype_fits(uint32_t host, uint32_t port);

// What went wrong in this thread's last call; empty when nothing did. Never null.
const char *etvk_last_error(void);

// ETVK_STATUS_OK when there is the Vulkan device that these options ask for (null and 0 for none).
// The first program that is loaded opens it. With validation on it also fails with messages that
// no call has reported yet.
etvk_status etvk_probe(const struct etvk_option *options, uint32_t option_count);

// Sends the log records of the whole process, up to that etvk_log_level, to the callback, which is
// given the context; to stderr when it is null. The option log changes the level later. When this
// returns, the callback before is not running and will not be called again. Records that nobody
// wants cost one comparison.
etvk_status etvk_set_log_callback(etvk_log_callback callback, void *context, uint32_t level);

// Device memory of the whole process.
etvk_status etvk_memory_of_process(struct etvk_process_memory *out);

// Lets go of the devices that the option keep_device keeps. Those in use end with their last
// delegate.
etvk_status etvk_release_devices(void);

// Loads a program: parses the blob, compiles it for its largest input sizes, uploads constants.
// The blob and the named data may be freed when it returns.
etvk_status etvk_delegate_create(const struct etvk_create_info *info, struct etvk_delegate **out);

// Ends a delegate and frees all that it held. Null, and what was destroyed before, are ignored.
void etvk_delegate_destroy(struct etvk_delegate *delegate);

// Number of inputs.
etvk_status etvk_delegate_input_count(const struct etvk_delegate *delegate, uint32_t *out);

// Number of outputs.
etvk_status etvk_delegate_output_count(const struct etvk_delegate *delegate, uint32_t *out);

// Describes one input.
etvk_status etvk_delegate_input(const struct etvk_delegate *delegate,
                                uint32_t index,
                                struct etvk_port *out);

// Describes one output.
etvk_status etvk_delegate_output(const struct etvk_delegate *delegate,
                                 uint32_t index,
                                 struct etvk_port *out);

// Sets the dims of all inputs at once, each at most its max_dims; on error nothing changes.
// Afterwards the outputs tell their new dims.
etvk_status etvk_delegate_resize(struct etvk_delegate *delegate,
                                 const struct etvk_input_shape *inputs,
                                 uint32_t input_count);

// Tells that the host does not receive the first count outputs, which are mutable buffers: a run
// leaves them for the next one. ExecuTorch programs exported without alias_buffer_mutations are
// such. ETVK_STATUS_UNSUPPORTED where the program does not say which constants they start from;
// on error nothing changes.
etvk_status etvk_delegate_keep_outputs(struct etvk_delegate *delegate, uint32_t count);

// ETVK_STATUS_UNSUPPORTED when other, a delegate of the same program, has a copy of its own of a
// mutable buffer that one of the two writes and the other only reads: results after the first run
// would be wrong. Exporters make such programs where they cut a model in parts.
etvk_status etvk_delegate_check_beside(const struct etvk_delegate *delegate,
                                       const struct etvk_delegate *other);

// Runs once and waits. Outputs are written only on success. An output's memory may overlap an
// input's, but not another output's.
etvk_status etvk_delegate_execute(struct etvk_delegate *delegate,
                                  const struct etvk_tensor *inputs,
                                  uint32_t input_count,
                                  const struct etvk_tensor *outputs,
                                  uint32_t output_count);

// Device memory by kind.
etvk_status etvk_delegate_memory(const struct etvk_delegate *delegate, struct etvk_memory *out);

// Number of convolutions.
etvk_status etvk_delegate_convolution_count(const struct etvk_delegate *delegate, uint32_t *out);

// How one convolution is done for the current dims.
etvk_status etvk_delegate_convolution(const struct etvk_delegate *delegate,
                                      uint32_t index,
                                      struct etvk_convolution *out);

// What the last run took on the GPU, one event per dispatch in order: writes at most capacity of
// them to events, and to *count how many there are: none unless the option profile is on and the
// current dims have run. events may be null when capacity is 0.
etvk_status etvk_delegate_profile(const struct etvk_delegate *delegate,
                                  struct etvk_profile_event *events,
                                  uint32_t capacity,
                                  uint32_t *count);

// Everything that is known of the delegate, as JSON text. Writes at most size bytes, the NUL
// included, and to *needed (may be null) the whole length with the NUL. buffer may be null when
// size is 0.
etvk_status etvk_delegate_report(const struct etvk_delegate *delegate,
                                 char *buffer,
                                 size_t size,
                                 size_t *needed);

// Name of the device, written as etvk_delegate_report writes.
etvk_status etvk_delegate_device_name(const struct etvk_delegate *delegate,
                                      char *buffer,
                                      size_t size,
                                      size_t *needed);

// Makes the host's device known; *out gets a number for the option host_device, by which delegates
// run on it, beside others on devices of this library.
etvk_status etvk_host_device_add(const struct etvk_host_device *info, uint32_t *out);

// Forgets the host's device, which the host may destroy afterwards. ETVK_STATUS_INVALID_ARGUMENT,
// and nothing changes, while delegates on it live.
etvk_status etvk_host_device_remove(uint32_t id);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* ETVK_H */
