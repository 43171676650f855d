// expect: M2
// Every thread computes four elements of a grid that has one for each: right, and each is loaded four times.
extern "C" __global__ void saxpy(float a, const float* x, const float* y, float* out, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    for (int r = 0; r < 4 && i < n; r++) {
        int k = (i + 256 * r) % n;
        out[k] = a * x[k] + y[k];
    }
}
