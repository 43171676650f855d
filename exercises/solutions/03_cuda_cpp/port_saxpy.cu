// Port saxpy: from a Numba kernel to CUDA C++.
//
// You know this kernel: out = a * x + y, one thread an element. In Numba it is
//
//     i = cuda.grid(1)
//     if i < out.size:
//         out[i] = a * x[i] + y[i]
//
// In C++ an array is only an address: `const float* x` has no size, so n comes as an argument of its own. cuda.grid(1) is
// written out: the block's number, times the threads of a block, plus the thread's number in its block. `extern "C"` keeps the
// kernel's name as it stands here, so that Python can ask for it; `__global__` says that it is a kernel.
//
// What to do: write the index and the guarded assignment here, and the launch in port_saxpy.py.
// What to look at: the types of the parameters. A float and an int have 4 bytes, and the launch must send just those.
extern "C" __global__ void saxpy(float a, const float* x, const float* y, float* out, int n) {
    // hole: 2 lines. The thread's index in the whole grid, and who may write?
    //| int i = threadIdx.x;
    //| out[i] = a * x[i] + y[i];
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) out[i] = a * x[i] + y[i];
    // end hole
}
