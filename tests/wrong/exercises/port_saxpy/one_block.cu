// expect: C3
// The index in the block only: all blocks write the elements of the first one.
extern "C" __global__ void saxpy(float a, const float* x, const float* y, float* out, int n) {
    int i = threadIdx.x;
    if (i < n) out[i] = a * x[i] + y[i];
}
