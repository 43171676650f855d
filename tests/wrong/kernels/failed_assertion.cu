extern "C" __global__ void failed_assertion(const float* x, const float* y, float* out, int n) {
    assert(n % blockDim.x == 0);
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) out[i] = x[i] + y[i];
}
