/* host FOLDER INPUT OUTPUT: runs the delegate of FOLDER/blob.bin, whose constants are the files of
 * FOLDER/named, on one input, and writes its first output. Without ExecuTorch. */
#include <etvk.h>
#include <stdio.h>
#include <stdlib.h>

static const char *folder;

static int fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, etvk_last_error());
  return 1;
}

/* The bytes of a file, for the caller to free; null when it cannot be read. */
static void *read_file(const char *name, size_t *size) {
  FILE *file = fopen(name, "rb");
  char *data = NULL;
  long end;
  if (file == NULL) {
    return NULL;
  }
  if (fseek(file, 0, SEEK_END) == 0 && (end = ftell(file)) >= 0 && fseek(file, 0, SEEK_SET) == 0 &&
      (data = malloc((size_t)end + 1)) != NULL) {
    *size = fread(data, 1, (size_t)end, file);
  }
  fclose(file);
  return data;
}

static int32_t get(void *context, const char *key, const void **data, size_t *size, void **token) {
  char name[4096];
  (void)context;
  snprintf(name, sizeof name, "%s/named/%s", folder, key);
  *data = *token = read_file(name, size);
  return *token == NULL;
}

static void release(void *context, void *token) {
  (void)context;
  free(token);
}

/* A tensor as the delegate wants it, over `data` or, when that is null, memory of its own. */
static etvk_tensor tensor_of(const etvk_port *port, void *data) {
  etvk_tensor tensor = {0};
  uint32_t i;
  tensor.data = data != NULL ? data : malloc((size_t)port->size_bytes + 1);
  tensor.size_bytes = (size_t)port->size_bytes;
  tensor.dtype = port->dtype;
  tensor.rank = port->rank;
  for (i = 0; i < port->rank; ++i) {
    tensor.dims[i] = port->dims[i];
  }
  return tensor;
}

int main(int argc, char **argv) {
  etvk_create_info info = {0};
  etvk_delegate *delegate = NULL;
  etvk_port in_port, out_port;
  etvk_tensor input, output;
  char name[4096];
  size_t blob_size = 0, input_size = 0;
  void *blob, *bytes;
  uint32_t inputs = 0, outputs = 0;
  FILE *file;
  if (argc != 4) {
    fprintf(stderr, "usage: host FOLDER INPUT OUTPUT\n");
    return 2;
  }
  if (etvk_abi_version() != ETVK_ABI_VERSION) {
    return fail("the library is of another version than the header");
  }
  folder = argv[1];
  snprintf(name, sizeof name, "%s/blob.bin", folder);
  blob = read_file(name, &blob_size);
  info.struct_size = sizeof info;
  info.blob = blob;
  info.blob_size_bytes = blob_size;
  info.named_data_get = get;
  info.named_data_release = release;
  if (etvk_delegate_create(&info, &delegate) != ETVK_STATUS_OK) {
    return fail("create");
  }
  free(blob); /* not needed any more */
  if (etvk_delegate_input_count(delegate, &inputs) != ETVK_STATUS_OK || inputs != 1 ||
      etvk_delegate_output_count(delegate, &outputs) != ETVK_STATUS_OK || outputs != 1 ||
      etvk_delegate_input(delegate, 0, &in_port) != ETVK_STATUS_OK ||
      etvk_delegate_output(delegate, 0, &out_port) != ETVK_STATUS_OK) {
    return fail("not of one input and one output");
  }
  bytes = read_file(argv[2], &input_size);
  if (bytes == NULL || input_size != in_port.size_bytes) {
    return fail("the input has another size");
  }
  input = tensor_of(&in_port, bytes);
  output = tensor_of(&out_port, NULL);
  if (etvk_delegate_execute(delegate, &input, 1, &output, 1) != ETVK_STATUS_OK) {
    return fail("execute");
  }
  etvk_delegate_destroy(delegate);
  file = fopen(argv[3], "wb");
  if (file == NULL || fwrite(output.data, 1, output.size_bytes, file) != output.size_bytes ||
      fclose(file) != 0) {
    return fail("the output cannot be written");
  }
  free(bytes);
  free(output.data);
  printf("etvk %s: %lu bytes\n", etvk_version(), (unsigned long)output.size_bytes);
  return 0;
}
