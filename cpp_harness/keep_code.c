/* Preloaded into a program, it writes what the program makes executable into the folder that
 * ETVK_DRIVER_CODE names: the kernels that a driver on the CPU has compiled. See drivers.sh. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static void keep(const void *code, size_t bytes) {
  static int count;
  const char *folder = getenv("ETVK_DRIVER_CODE");
  char path[4096];
  FILE *file;
  if (!folder) {
    return;
  }
  snprintf(path, sizeof path, "%s/%d-%d.bin", folder, (int)getpid(),
           __sync_fetch_and_add(&count, 1));
  file = fopen(path, "wb");
  if (file) {
    fwrite(code, 1, bytes, file);
    fclose(file);
  }
}

int mprotect(void *start, size_t bytes, int protection) {
  typedef int (*Mprotect)(void *, size_t, int);
  const Mprotect next = (Mprotect)dlsym(RTLD_NEXT, "mprotect");
  const int result = next(start, bytes, protection);
  if (result == 0 && (protection & PROT_EXEC) && (protection & PROT_READ)) {
    keep(start, bytes);
  }
  return result;
}
