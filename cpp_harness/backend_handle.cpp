#include "backend_handle.h"

#include <executorch/runtime/core/exec_aten/util/tensor_util.h>
#include <executorch/runtime/platform/log.h>

#include <algorithm>
#include <cstring>

#include "backend.h"
#include "backend_trace.h"

namespace etvk_backend {

using executorch::aten::ScalarType;
using executorch::aten::Tensor;
using executorch::runtime::Error;
using executorch::runtime::EValue;
using executorch::runtime::Span;

namespace {

thread_local std::string last_error;

struct LiveDelegate {
  etvk_delegate* delegate;
  const void* program;  // the same for delegates of one program
  bool ran;
};

struct Live {
  std::mutex mutex;
  std::vector<LiveDelegate> delegates;
};

Live& live() {
  static Live instance;
  return instance;
}

bool same_dims(const etvk_port& port, const etvk_input_shape& shape) {
  return port.rank == shape.rank && std::equal(port.dims, port.dims + port.rank, shape.dims);
}

// An integer from an Int or from a tensor of one int32 or int64 element.
Error integer_of(const EValue& arg, const std::string& place, int64_t* value) {
  if (arg.isInt()) {
    *value = arg.toInt();
    return Error::Ok;
  }
  if (!arg.isTensor()) {
    return fail(Error::InvalidType, "execute", (place + ": expected an integer").c_str());
  }
  const Tensor& tensor = arg.toTensor();
  if (tensor.numel() != 1 || tensor.const_data_ptr() == nullptr) {
    return fail(Error::InvalidArgument, "execute",
                (place + ": an integer tensor must have one element").c_str());
  }
  switch (tensor.scalar_type()) {
    case ScalarType::Int:
      *value = *tensor.const_data_ptr<int32_t>();
      return Error::Ok;
    case ScalarType::Long:
      *value = *tensor.const_data_ptr<int64_t>();
      return Error::Ok;
    default:
      return fail(Error::InvalidType, "execute",
                  (place + ": an integer tensor must be int32 or int64").c_str());
  }
}

// Ports as integers travel: one int64, rank 0.
etvk_tensor integer_tensor(int64_t* value) {
  etvk_tensor tensor{};
  tensor.data = value;
  tensor.size_bytes = sizeof(*value);
  tensor.dtype = ETVK_DTYPE_INT64;
  return tensor;
}

}  // namespace

Error fail(Error error, const char* what, const char* message) {
  // The log cuts a message at about 250 bytes, so a long one takes several lines.
  constexpr int kLine = 180;
  last_error = message;
  const int length = static_cast<int>(std::min<size_t>(last_error.size(), 8192));
  int start = 0;
  do {
    ET_LOG(Error, "etvk %s: %.*s", what, std::min(kLine, length - start), message + start);
    start += kLine;
  } while (start < length);
  return error;
}

Error fail_status(etvk_status status, Phase phase, const char* what) {
  // The text belongs to the library until this thread's next call, so it is copied first.
  const std::string text = etvk_last_error();
  const std::string message = std::string(etvk_status_name(status)) + ": " + text;
  return fail(error_from_status(status, phase), what, message.c_str());
}

void clear_last_error() { last_error.clear(); }

Handle::Handle(etvk_delegate* delegate, const void* program) : delegate_(delegate) {
  std::lock_guard<std::mutex> lock(live().mutex);
  live().delegates.push_back({delegate, program, false});
}

Handle::~Handle() {
  {
    std::lock_guard<std::mutex> lock(live().mutex);
    auto& delegates = live().delegates;
    const auto is_this = [this](const LiveDelegate& one) { return one.delegate == delegate_; };
    delegates.erase(std::remove_if(delegates.begin(), delegates.end(), is_this), delegates.end());
  }
  etvk_delegate_destroy(delegate_);
}

Error Handle::read_ports() {
  uint32_t input_count = 0;
  uint32_t output_count = 0;
  etvk_status status = etvk_delegate_input_count(delegate_, &input_count);
  if (status == ETVK_STATUS_OK) {
    status = etvk_delegate_output_count(delegate_, &output_count);
  }
  std::vector<etvk_port> input_ports(input_count);
  std::vector<etvk_port> output_ports(output_count);
  for (uint32_t i = 0; i < input_count && status == ETVK_STATUS_OK; ++i) {
    status = etvk_delegate_input(delegate_, i, &input_ports[i]);
  }
  for (uint32_t i = 0; i < output_count && status == ETVK_STATUS_OK; ++i) {
    status = etvk_delegate_output(delegate_, i, &output_ports[i]);
  }
  if (status != ETVK_STATUS_OK) {
    return fail_status(status, Phase::Init, "ports");
  }
  input_ports_ = std::move(input_ports);
  output_ports_ = std::move(output_ports);
  inputs_.assign(input_count, {});
  outputs_.assign(output_count, {});
  shapes_.assign(input_count, {});
  integer_inputs_.assign(input_count, 0);
  integer_outputs_.assign(output_count, 0);
  integers_.resize(input_count, 0);
  return Error::Ok;
}

Error Handle::tensor_of(const EValue& arg, const etvk_port& port, const std::string& place,
                        etvk_tensor* out) {
  if (!arg.isTensor()) {
    return fail(Error::InvalidType, "execute", (place + ": expected a tensor").c_str());
  }
  const Tensor& tensor = arg.toTensor();
  uint32_t dtype = 0;
  if (!dtype_from_scalar_type(tensor.scalar_type(), &dtype) || etvk_dtype_fits(dtype, port.dtype) == 0) {
    const std::string message = place + ": scalar type " +
                                std::to_string(static_cast<int>(tensor.scalar_type())) +
                                " where the program has dtype " + std::to_string(port.dtype);
    return fail(Error::InvalidType, "execute", message.c_str());
  }
  const size_t rank = static_cast<size_t>(tensor.dim());
  if (rank != port.rank || rank > ETVK_MAX_RANK) {
    const std::string message = place + ": rank " + std::to_string(rank) +
                                ", the program has rank " + std::to_string(port.rank);
    return fail(Error::InvalidArgument, "execute", message.c_str());
  }
  *out = {};
  out->data = const_cast<void*>(tensor.const_data_ptr());
  out->size_bytes = tensor.nbytes();
  out->dtype = dtype;
  out->rank = static_cast<uint32_t>(rank);
  out->dim_order = rank == 0 ? nullptr : tensor.dim_order().data();
  for (size_t i = 0; i < rank; ++i) {
    // ETensor sizes are non-negative int32.
    out->dims[i] = static_cast<uint32_t>(tensor.size(static_cast<ssize_t>(i)));
  }
  if (out->data == nullptr && out->size_bytes != 0) {
    return fail(Error::InvalidArgument, "execute", (place + ": the tensor has no data").c_str());
  }
  return Error::Ok;
}

Error Handle::gather_input(size_t index, const EValue& arg) {
  const std::string place = "input " + std::to_string(index);
  etvk_input_shape& shape = shapes_[index];
  shape = {};
  if (input_ports_[index].kind == ETVK_PORT_INTEGER) {
    const Error error = integer_of(arg, place, &integer_inputs_[index]);
    shape.integer = integer_inputs_[index];
    inputs_[index] = integer_tensor(&integer_inputs_[index]);
    return error;
  }
  const Error error = tensor_of(arg, input_ports_[index], place, &inputs_[index]);
  if (error == Error::Ok) {
    shape.rank = inputs_[index].rank;
    std::copy_n(inputs_[index].dims, shape.rank, shape.dims);
  }
  return error;
}

Error Handle::resize_if_changed() {
  bool changed = false;
  bool has_integers = false;
  for (size_t i = 0; i < shapes_.size(); ++i) {
    if (input_ports_[i].kind == ETVK_PORT_INTEGER) {
      has_integers = true;
      changed = changed || !integers_set_ || shapes_[i].integer != integers_[i];
    } else {
      changed = changed || !same_dims(input_ports_[i], shapes_[i]);
    }
  }
  if (!changed) {
    return Error::Ok;
  }
  const etvk_status status =
      etvk_delegate_resize(delegate_, shapes_.data(), static_cast<uint32_t>(shapes_.size()));
  if (status != ETVK_STATUS_OK) {
    device_lost_ = device_lost_ || status == ETVK_STATUS_DEVICE_LOST;
    return fail_status(status, Phase::Execute, "resize");
  }
  integers_set_ = integers_set_ || has_integers;
  integers_ = integer_inputs_;
  for (uint32_t i = 0; i < input_ports_.size(); ++i) {
    const etvk_status read = etvk_delegate_input(delegate_, i, &input_ports_[i]);
    if (read != ETVK_STATUS_OK) {
      return fail_status(read, Phase::Execute, "resize");
    }
  }
  for (uint32_t i = 0; i < output_ports_.size(); ++i) {
    const etvk_status read = etvk_delegate_output(delegate_, i, &output_ports_[i]);
    if (read != ETVK_STATUS_OK) {
      return fail_status(read, Phase::Execute, "resize");
    }
  }
  return Error::Ok;
}

Error Handle::gather_output(size_t index, EValue* arg) {
  if (output_ports_[index].kind == ETVK_PORT_INTEGER) {
    outputs_[index] = integer_tensor(&integer_outputs_[index]);
    return Error::Ok;
  }
  return gather_output_as(index, arg, "output " + std::to_string(index), &outputs_[index]);
}

Error Handle::gather_output_as(size_t index, EValue* arg, const std::string& place,
                               etvk_tensor* out) {
  const etvk_port& port = output_ports_[index];
  if (arg->isTensor() && port.rank <= ETVK_MAX_RANK) {
    executorch::aten::SizesType sizes[ETVK_MAX_RANK] = {};
    for (uint32_t i = 0; i < port.rank; ++i) {
      sizes[i] = static_cast<executorch::aten::SizesType>(port.dims[i]);
    }
    const Error error = executorch::runtime::resize_tensor(
        arg->toTensor(), {sizes, static_cast<size_t>(port.rank)});
    if (error != Error::Ok) {
      return fail(error, "execute",
                  (place + ": the runtime refused to resize the tensor").c_str());
    }
  }
  return tensor_of(*arg, port, place, out);
}

Error Handle::write_integer_output(size_t index, EValue* arg) {
  const int64_t value = integer_outputs_[index];
  const std::string place = "output " + std::to_string(index);
  if (!arg->isTensor()) {
    *arg = EValue(value);
    return Error::Ok;
  }
  Tensor& tensor = arg->toTensor();
  if (tensor.numel() != 1 || tensor.mutable_data_ptr() == nullptr) {
    return fail(Error::InvalidArgument, "execute",
                (place + ": an integer tensor must have one element").c_str());
  }
  if (tensor.scalar_type() == ScalarType::Long) {
    *tensor.mutable_data_ptr<int64_t>() = value;
  } else if (tensor.scalar_type() == ScalarType::Int) {
    *tensor.mutable_data_ptr<int32_t>() = static_cast<int32_t>(value);
  } else {
    return fail(Error::InvalidType, "execute",
                (place + ": an integer tensor must be int32 or int64").c_str());
  }
  return Error::Ok;
}

Error Handle::place(const Span<EValue*>& args) {
  placed_ = false;
  const size_t input_count = input_ports_.size();
  const size_t given = args.size() < input_count ? 0 : args.size() - input_count;
  if (given < output_ports_.size() && args.size() >= input_count) {
    // What the exporter lists and the runtime does not pass: mutable buffers, before all else.
    const etvk_status status = etvk_delegate_keep_outputs(
        delegate_, static_cast<uint32_t>(output_ports_.size() - given));
    if (status != ETVK_STATUS_OK) {
      return fail_status(status, Phase::Execute, "execute");
    }
    const Error error = read_ports();
    if (error != Error::Ok) {
      return error;
    }
  }
  if (!place_arguments(args, input_ports_, output_ports_, &places_)) {
    const std::string message = std::to_string(args.size()) + " arguments, expected " +
                                std::to_string(input_count) + " inputs and " +
                                std::to_string(output_ports_.size()) + " outputs" +
                                (given > output_ports_.size()
                                     ? ", and types do not tell which of these are unread inputs "
                                       "or outputs given twice"
                                     : "");
    return fail(Error::InvalidArgument, "execute", message.c_str());
  }
  placed_ = true;
  placed_args_ = args.size();
  return Error::Ok;
}

Error Handle::check_beside_others() {
  std::lock_guard<std::mutex> lock(live().mutex);
  auto& delegates = live().delegates;
  const auto self = std::find_if(delegates.begin(), delegates.end(), [this](const auto& one) {
    return one.delegate == delegate_;
  });
  for (const auto& other : delegates) {
    if (other.ran && other.program == self->program && other.delegate != delegate_) {
      const etvk_status status = etvk_delegate_check_beside(delegate_, other.delegate);
      if (status != ETVK_STATUS_OK) {
        return fail_status(status, Phase::Execute, "execute");
      }
    }
  }
  self->ran = true;
  return Error::Ok;
}

Error Handle::copy_repeated(const Span<EValue*>& args) {
  const std::vector<size_t>& ports = places_.outputs;
  for (size_t i = 0; i < ports.size(); ++i) {
    const size_t port = ports[i];
    const size_t first = std::find(ports.begin(), ports.end(), port) - ports.begin();
    EValue& arg = *args[places_.first_output + i];
    if (output_ports_[port].kind == ETVK_PORT_INTEGER) {
      const Error error = write_integer_output(port, &arg);
      if (error != Error::Ok) {
        return error;
      }
    } else if (first != i) {
      const Tensor& from = args[places_.first_output + first]->toTensor();
      etvk_tensor to{};
      const Error error = gather_output_as(port, &arg, "output " + std::to_string(i), &to);
      if (error != Error::Ok) {
        return error;
      }
      const Tensor& tensor = arg.toTensor();
      if (tensor.scalar_type() != from.scalar_type() || tensor.nbytes() != from.nbytes() ||
          !std::equal(from.dim_order().begin(), from.dim_order().end(),
                      tensor.dim_order().begin(), tensor.dim_order().end())) {
        return fail(Error::InvalidArgument, "execute", "an output given twice differs in type");
      }
      if (from.nbytes() != 0) {
        std::memcpy(tensor.mutable_data_ptr(), from.const_data_ptr(), from.nbytes());
      }
    }
  }
  return Error::Ok;
}

Error Handle::execute(Span<EValue*> args, executorch::runtime::EventTracer* tracer) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (device_lost_) {
    return fail(Error::InvalidState, "execute", "the device was lost in an earlier call");
  }
  if (std::find(args.begin(), args.end(), nullptr) != args.end()) {
    return fail(Error::InvalidArgument, "execute", "an argument is null");
  }
  const size_t input_count = input_ports_.size();
  Error error = Error::Ok;
  if (!placed_ || args.size() != placed_args_) {
    error = ran_ ? fail(Error::InvalidArgument, "execute", "another number of arguments than before")
                 : place(args);
    if (error == Error::Ok) {
      error = check_beside_others();
    }
  }
  for (size_t i = 0; i < input_count && error == Error::Ok; ++i) {
    error = gather_input(i, *args[places_.inputs[i]]);
  }
  if (error == Error::Ok) {
    error = resize_if_changed();
  }
  const size_t output_count = output_ports_.size();
  for (size_t i = 0; i < output_count && error == Error::Ok; ++i) {
    const std::vector<size_t>& ports = places_.outputs;
    const size_t place = std::find(ports.begin(), ports.end(), i) - ports.begin();
    error = gather_output(i, args[places_.first_output + place]);
  }
  if (error != Error::Ok) {
    return error;
  }
  const et_timestamp_t begin = tracer == nullptr ? 0 : et_pal_current_ticks();
  const etvk_status status = etvk_delegate_execute(
      delegate_, inputs_.data(), static_cast<uint32_t>(input_count), outputs_.data(),
      static_cast<uint32_t>(output_count));
  if (status != ETVK_STATUS_OK) {
    device_lost_ = status == ETVK_STATUS_DEVICE_LOST;
    return fail_status(status, Phase::Execute, "execute");
  }
  ran_ = true;
  if (tracer != nullptr) {
    log_profile(delegate_, begin, tracer);
  }
  return copy_repeated(args);
}

}  // namespace etvk_backend

uint32_t etvk_backend_delegate_count(void) {
  auto& live = etvk_backend::live();
  std::lock_guard<std::mutex> lock(live.mutex);
  return static_cast<uint32_t>(live.delegates.size());
}

etvk_delegate* etvk_backend_delegate(uint32_t index) {
  auto& live = etvk_backend::live();
  std::lock_guard<std::mutex> lock(live.mutex);
  return index < live.delegates.size() ? live.delegates[index].delegate : nullptr;
}

const char* etvk_backend_last_error(void) { return etvk_backend::last_error.c_str(); }
