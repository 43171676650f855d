"""Hand-written PTX kernels for tests, and a launch on one line."""

import numpy as np

import ptxvm

HEADER = ".version 8.7\n.target sm_86\n.address_size 64\n"


def kernel(body: str, params: str = ".param .u64 x, .param .u64 y, .param .u32 n", shared: str = "") -> ptxvm.Kernel:
    """A kernel `k(x, y, n)` with %tid in %t, global index in %i, x + 4i in %xi, y + 4i in %yi."""
    text = f"""{HEADER}
.visible .entry k({params})
{{
    .reg .pred %p<8>;
    .reg .b32 %t, %i, %n, %b, %d, %r<16>;
    .reg .f32 %f<8>;
    .reg .b64 %x, %y, %xi, %yi, %rd<8>;
    {shared}
    ld.param.u64 %x, [x];
    ld.param.u64 %y, [y];
    ld.param.u32 %n, [n];
    cvta.to.global.u64 %x, %x;
    cvta.to.global.u64 %y, %y;
    mov.u32 %t, %tid.x;
    mov.u32 %b, %ctaid.x;
    mov.u32 %d, %ntid.x;
    mad.lo.s32 %i, %b, %d, %t;
    mul.wide.s32 %rd0, %i, 4;
    add.s64 %xi, %x, %rd0;
    add.s64 %yi, %y, %rd0;
    {body}
    ret;
}}
"""
    return ptxvm.Module.from_ptx(text).kernel()


def run(k, *, n=1024, grid=4, block=256, checks=None, elements=None, dynamic=0, **more):
    device = ptxvm.Device("sm_86", memory_bytes=1 << 22)
    x = device.array((elements or n,), "float32", name="x")
    y = device.array((elements or n,), "float32", name="y")
    x[:] = np.arange(x.size)
    checks = checks or ptxvm.Checks(races="all")
    report = device.launch(
        k, (grid,), (block,), (x, y, np.int32(n)), dynamic_shared_bytes=dynamic, checks=checks, **more
    )
    return report, np.array(x), np.array(y)
