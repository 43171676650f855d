extern "C" __global__ void barrier_in_a_branch(const float* x, float* out, int n) {
    __shared__ float partial[256];
    int t = threadIdx.x, i = blockIdx.x * 256 + t;
    partial[t] = i < n ? x[i] : 0.0f;
    __syncthreads();
    for (int half = 128; half > 0; half /= 2) {
        if (t < half) {
            partial[t] += partial[t + half];
            __syncthreads();
        }
    }
    if (t == 0) atomicAdd(out, partial[0]);
}
