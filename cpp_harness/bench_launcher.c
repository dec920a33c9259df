// etvk_bench as one file: carries the stock runtime and the benchmark as bytes, and opens them from
// memory, so that a machine needs nothing but a C++ runtime and a Vulkan driver.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define EMBED(name, file)                                            \
  __asm__(".section .rodata\n.balign 64\n" #name "_begin:\n.incbin \"" file "\"\n" \
          #name "_end:\n.previous\n");                               \
  extern const char name##_begin[], name##_end[]

EMBED(runtime, ETVK_BENCH_RUNTIME);
EMBED(bench, ETVK_BENCH_LIBRARY);

// Stays open: the loader maps the file as long as the process lives.
static void* open_bytes(const char* name, const char* begin, const char* end) {
  const int file = memfd_create(name, MFD_CLOEXEC);
  if (file < 0) {
    perror("etvk_bench: memfd_create");
    return NULL;
  }
  while (begin < end) {
    const ssize_t written = write(file, begin, (size_t)(end - begin));
    if (written <= 0) {
      perror("etvk_bench: write");
      close(file);
      return NULL;
    }
    begin += written;
  }
  char path[64];
  snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
  void* library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
  if (library == NULL) {
    fprintf(stderr, "etvk_bench: %s: %s\n", name, dlerror());
  }
  return library;
}

int main(int argc, char** argv) {
  // The runtime first: the benchmark needs it under its own name, which is then known.
  if (open_bytes("libexecutorch.so", runtime_begin, runtime_end) == NULL) {
    return 1;
  }
  void* library = open_bytes("libetvk_bench.so", bench_begin, bench_end);
  if (library == NULL) {
    return 1;
  }
  int (*bench_main)(int, char**) = NULL;
  void* symbol = dlsym(library, "etvk_bench_main");
  if (symbol == NULL) {
    fprintf(stderr, "etvk_bench: %s\n", dlerror());
    return 1;
  }
  memcpy(&bench_main, &symbol, sizeof(symbol));
  return bench_main(argc, argv);
}
