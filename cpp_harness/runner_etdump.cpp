// libetvk_run_etdump.so: ExecuTorch's ETDump behind two functions, so that etvk_run runs without it.
#include <executorch/devtools/etdump/etdump_flatcc.h>

#include <cstdio>
#include <cstdlib>

using executorch::etdump::ETDumpGen;
using executorch::runtime::EventTracer;

extern "C" {

// The caller owns it.
__attribute__((visibility("default"))) EventTracer* etvk_run_etdump_new() {
  return new ETDumpGen();
}

// Writes what the tracer saw and starts over; false when it cannot.
__attribute__((visibility("default"))) bool etvk_run_etdump_write(EventTracer* tracer,
                                                                  const char* path) {
  auto* etdump = static_cast<ETDumpGen*>(tracer);
  const executorch::etdump::ETDumpResult result = etdump->get_etdump_data();
  if (result.buf == nullptr || result.size == 0) {
    return false;
  }
  std::FILE* file = std::fopen(path, "wb");
  const bool written = file != nullptr && std::fwrite(result.buf, 1, result.size, file) == result.size;
  const bool closed = file != nullptr && std::fclose(file) == 0;
  if (!etdump->is_static_etdump()) {
    std::free(result.buf);
  }
  return written && closed;
}

}  // extern "C"
