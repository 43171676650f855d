// expect: M4 line=7
// Asks for the first element of the group and loads all four.
extern "C" __global__ void add_four(const float* x, const float* y, float* out, int n) {
    int vector = blockIdx.x * blockDim.x + threadIdx.x;
    int first = 4 * vector;  // the first element of this thread's group
    if (first < n) {
        float4 a = reinterpret_cast<const float4*>(x)[vector];
        float4 b = reinterpret_cast<const float4*>(y)[vector];
        float4 sum = make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
        reinterpret_cast<float4*>(out)[vector] = sum;
    } else {
        for (int i = first; i < n; i++) out[i] = x[i] + y[i];
    }
}
