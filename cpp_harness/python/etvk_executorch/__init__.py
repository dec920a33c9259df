"""Importing this registers etvk as VulkanBackend with the stock ExecuTorch runtime.

    from executorch.runtime import Runtime
    import etvk_executorch
    method = Runtime.get().load_program("model.pte").load_method("forward")
"""
import ctypes
import json
import pathlib

# The runtime in which the backend registers, and which the backend's library looks for by name.
from executorch.extension.pybindings import portable_lib as _runtime  # noqa: F401

LIBRARY = str(pathlib.Path(__file__).resolve().parent / "libexecutorch_backend_etvk.so")
"""Path of the backend's shared library; it has the C ABI of etvk.h too."""

_library = ctypes.CDLL(LIBRARY)
_library.etvk_version.restype = ctypes.c_char_p
_library.etvk_last_error.restype = ctypes.c_char_p
_library.etvk_backend_last_error.restype = ctypes.c_char_p
_library.etvk_register_backend.restype = ctypes.c_uint32
_library.etvk_backend_delegate_count.restype = ctypes.c_uint32
_library.etvk_backend_delegate.restype = ctypes.c_void_p
_library.etvk_backend_delegate.argtypes = [ctypes.c_uint32]
_library.etvk_delegate_report.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t,
                                          ctypes.POINTER(ctypes.c_size_t)]

# Loading it has registered it, or has said why not; asking again tells which.
if _library.etvk_register_backend() != 0:
    raise ImportError(_library.etvk_backend_last_error().decode())

__version__ = _library.etvk_version().decode()


def last_error():
    """Why this thread's last load or run of a delegate failed; empty when it did not."""
    return _library.etvk_backend_last_error().decode()


def reports():
    """What is known of every delegate that lives now: device, memory, convolutions, times."""
    found = []
    for index in range(_library.etvk_backend_delegate_count()):
        delegate = _library.etvk_backend_delegate(index)
        needed = ctypes.c_size_t()
        text = ctypes.create_string_buffer(1 << 16)
        status = _library.etvk_delegate_report(delegate, text, len(text), ctypes.byref(needed))
        if status == 0 and needed.value > len(text):
            text = ctypes.create_string_buffer(needed.value)
            status = _library.etvk_delegate_report(delegate, text, len(text), ctypes.byref(needed))
        if status != 0:
            raise RuntimeError(_library.etvk_last_error().decode())
        found.append(json.loads(text.value))
    return found
