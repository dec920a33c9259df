// host MODEL.pte INPUT OUTPUT: runs `forward` of a program with one float input of fixed size and
// writes its first output. Nothing here mentions etvk but the report at the end: the backend
// registered itself when the program started.
#include <etvk_executorch.h>
#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

using executorch::extension::Module;

namespace {

int failed(const char* what) {
  std::fprintf(stderr, "%s: %s\n", what, etvk_backend_last_error());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: host MODEL.pte INPUT OUTPUT\n");
    return 2;
  }
  Module module(argv[1]);
  const auto meta = module.method_meta("forward");
  if (!meta.ok() || meta->num_inputs() != 1 || !meta->input_tensor_meta(0).ok()) {
    return failed("the program is not of one tensor");
  }
  const auto sizes = meta->input_tensor_meta(0)->sizes();
  std::ifstream file(argv[2], std::ios::binary);
  std::vector<char> input{std::istreambuf_iterator<char>(file), {}};
  if (input.size() != meta->input_tensor_meta(0)->nbytes()) {
    return failed("the input has another size");
  }
  const auto tensor = executorch::extension::from_blob(input.data(), {sizes.begin(), sizes.end()});
  const auto outputs = module.forward(tensor);
  if (!outputs.ok()) {
    return failed("forward");
  }
  const auto& output = outputs->at(0).toTensor();
  std::ofstream(argv[3], std::ios::binary)
      .write(static_cast<const char*>(output.const_data_ptr()),
             static_cast<std::streamsize>(output.nbytes()));
  char device[256] = "none";
  if (etvk_backend_delegate_count() == 0 ||
      etvk_delegate_device_name(etvk_backend_delegate(0), device, sizeof(device), nullptr) !=
          ETVK_STATUS_OK) {
    return failed("no delegate of etvk");
  }
  std::printf("etvk %s on %s\n", etvk_version(), device);
  return 0;
}
