// expect: X3
// Four neighbours a thread, each loaded by itself.
extern "C" __global__ void add_four(const float* x, const float* y, float* out, int n) {
    int vector = blockIdx.x * blockDim.x + threadIdx.x;
    int first = 4 * vector;  // the first element of this thread's group
    for (int i = first; i < first + 4; i++)
        if (i < n) out[i] = x[i] + y[i];
}
