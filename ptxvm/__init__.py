"""ptxvm: a virtual GPU that executes compiled PTX on the CPU, counts what it does and reports what is wrong with it.

    module = ptxvm.Module.from_ptx(text)
    device = ptxvm.Device("sm_86")
    x = device.array((1024,), "float32", name="x")
    report = device.launch(module.kernel(), grid=(4,), block=(256,), args=(x, 1024))

It needs NumPy only, holds no clock and prints nothing.
"""

from ptxvm.arguments import DeviceArray, Limits, Pointer
from ptxvm.device import Checks, Device
from ptxvm.errors import Fault, LaunchError, PtxSyntaxError, PtxvmError, Unsupported
from ptxvm.module import Kernel, Module
from ptxvm.report import Counters, Finding, Report
from ptxvm.schedule import Schedule
from ptxvm.trace import Touch, Trace

__all__ = [
    "Checks",
    "Counters",
    "Device",
    "DeviceArray",
    "Fault",
    "Finding",
    "Kernel",
    "LaunchError",
    "Limits",
    "Module",
    "Pointer",
    "PtxSyntaxError",
    "PtxvmError",
    "Report",
    "Schedule",
    "Touch",
    "Trace",
    "Unsupported",
]
