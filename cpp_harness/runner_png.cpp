#include "runner_png.h"

#include <png.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <stdexcept>

namespace etvk_run {
namespace {

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

File open_file(const std::string& path, const char* mode) {
  File file(std::fopen(path.c_str(), mode), std::fclose);
  if (!file) {
    throw std::runtime_error(path + ": cannot be opened");
  }
  return file;
}

// libpng would longjmp over destructors; an exception unwinds them instead.
[[noreturn]] void on_error(png_structp, png_const_charp message) {
  throw std::runtime_error(std::string("PNG: ") + message);
}

void on_warning(png_structp, png_const_charp) {}

struct Reader {
  Reader() : png(png_create_read_struct(PNG_LIBPNG_VER_STRING, nullptr, on_error, on_warning)) {
    info = png == nullptr ? nullptr : png_create_info_struct(png);
    if (info == nullptr) {
      throw std::bad_alloc();
    }
  }
  ~Reader() { png_destroy_read_struct(&png, &info, nullptr); }
  png_structp png;
  png_infop info = nullptr;
};

struct Writer {
  Writer() : png(png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, on_error, on_warning)) {
    info = png == nullptr ? nullptr : png_create_info_struct(png);
    if (info == nullptr) {
      throw std::bad_alloc();
    }
  }
  ~Writer() { png_destroy_write_struct(&png, &info); }
  png_structp png;
  png_infop info = nullptr;
};

float* floats(HostTensor* tensor) { return reinterpret_cast<float*>(tensor->bytes.data()); }

}  // namespace

bool is_png_name(const std::string& path) {
  return path.size() > 4 && path.compare(path.size() - 4, 4, ".png") == 0;
}

HostTensor read_png(const std::string& path, int32_t channels) {
  if (channels != 1 && channels != 3) {
    throw std::runtime_error(path + ": a PNG gives 1 or 3 channels, the program wants " +
                             std::to_string(channels));
  }
  const File file = open_file(path, "rb");
  Reader reader;
  png_init_io(reader.png, file.get());
  png_read_info(reader.png, reader.info);
  const png_byte color = png_get_color_type(reader.png, reader.info);
  png_set_expand(reader.png);
  png_set_strip_alpha(reader.png);
  if (channels == 3 && (color & PNG_COLOR_MASK_COLOR) == 0) {
    png_set_gray_to_rgb(reader.png);
  } else if (channels == 1 && (color & PNG_COLOR_MASK_COLOR) != 0) {
    png_set_rgb_to_gray(reader.png, PNG_ERROR_ACTION_NONE, PNG_RGB_TO_GRAY_DEFAULT,
                        PNG_RGB_TO_GRAY_DEFAULT);
  }
  png_set_interlace_handling(reader.png);
  png_read_update_info(reader.png, reader.info);
  const size_t width = png_get_image_width(reader.png, reader.info);
  const size_t height = png_get_image_height(reader.png, reader.info);
  const bool wide = png_get_bit_depth(reader.png, reader.info) == 16;
  const size_t row_bytes = png_get_rowbytes(reader.png, reader.info);
  const size_t planes = static_cast<size_t>(channels);
  if (row_bytes != width * planes * (wide ? 2 : 1)) {
    throw std::runtime_error(path + ": unexpected PNG row size");
  }
  std::vector<uint8_t> pixels(row_bytes * height);
  std::vector<png_bytep> rows(height);
  for (size_t y = 0; y < height; ++y) {
    rows[y] = pixels.data() + y * row_bytes;
  }
  png_read_image(reader.png, rows.data());

  HostTensor image;
  image.dims = {1, channels, static_cast<int32_t>(height), static_cast<int32_t>(width)};
  image.dim_order = contiguous_order(4);
  image.bytes.resize(planes * height * width * sizeof(float));
  for (size_t c = 0; c < planes; ++c) {
    for (size_t y = 0; y < height; ++y) {
      for (size_t x = 0; x < width; ++x) {
        const size_t sample = x * planes + c;
        const float value =
            wide ? static_cast<float>((rows[y][2 * sample] << 8) | rows[y][2 * sample + 1]) / 65535
                 : static_cast<float>(rows[y][sample]) / 255;
        floats(&image)[(c * height + y) * width + x] = value;
      }
    }
  }
  return image;
}

void write_png(const std::string& path, const HostTensor& image) {
  const bool fits = image.dtype == executorch::aten::ScalarType::Float &&
                    image.dims.size() == 4 && image.dims[0] == 1 &&
                    (image.dims[1] == 1 || image.dims[1] == 3);
  if (!fits) {
    throw std::runtime_error(path + ": an output of " + dims_text(image.dims) +
                             " is not an image");
  }
  const size_t planes = static_cast<size_t>(image.dims[1]);
  const size_t height = static_cast<size_t>(image.dims[2]);
  const size_t width = static_cast<size_t>(image.dims[3]);
  const auto values = to_doubles(image);
  const File file = open_file(path, "wb");
  Writer writer;
  png_init_io(writer.png, file.get());
  png_set_IHDR(writer.png, writer.info, static_cast<png_uint_32>(width),
               static_cast<png_uint_32>(height), 8,
               planes == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(writer.png, writer.info);
  std::vector<uint8_t> row(width * planes);
  for (size_t y = 0; y < height; ++y) {
    for (size_t x = 0; x < width; ++x) {
      for (size_t c = 0; c < planes; ++c) {
        const double value = values[(c * height + y) * width + x];
        const double clamped = std::isnan(value) ? 0 : std::clamp(value, 0.0, 1.0);
        row[x * planes + c] = static_cast<uint8_t>(std::lround(clamped * 255));
      }
    }
    png_write_row(writer.png, row.data());
  }
  png_write_end(writer.png, nullptr);
}

}  // namespace etvk_run
