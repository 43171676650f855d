// expect: C3
// Nobody takes what is left of the last group.
extern "C" __global__ void add_four(const float* x, const float* y, float* out, int n) {
    int vector = blockIdx.x * blockDim.x + threadIdx.x;
    int first = 4 * vector;  // the first element of this thread's group
    if (first + 3 < n) {
        float4 a = reinterpret_cast<const float4*>(x)[vector];
        float4 b = reinterpret_cast<const float4*>(y)[vector];
        float4 sum = make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
        reinterpret_cast<float4*>(out)[vector] = sum;
    }
}
