// PNG files as float images.
#pragma once

#include <string>

#include "runner_tensor.h"

namespace etvk_run {

bool is_png_name(const std::string& path);

// Reads a PNG of 8 or 16 bits as float32 [1, channels, height, width] in [0, 1]. channels is 1
// (grey) or 3 (RGB); transparency is dropped. Throws with the path.
HostTensor read_png(const std::string& path, int32_t channels);

// Writes float32 [1, 1 or 3, height, width], clamped to [0, 1], with 8 bits.
void write_png(const std::string& path, const HostTensor& image);

}  // namespace etvk_run
