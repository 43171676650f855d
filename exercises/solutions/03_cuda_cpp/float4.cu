// Four floats a load: one 16-byte access where there were four of 4 bytes.
//
// A thread that adds four neighbours can fetch them with one instruction, if the compiler is told that they belong together:
//
//     float4 a = reinterpret_cast<const float4*>(x)[vector];       a.x a.y a.z a.w
//
// A quarter of the instructions for the same bytes, and more bytes under way a thread. Two things are asked in return:
//
//     address   a multiple of 16 bytes. Vector v of x begins at element 4 v, and x itself begins at such an address.
//     tail      n may not be a multiple of 4. The last group then has 1, 2 or 3 elements, and they go one by one.
//
//     n = 10     [ 0 1 2 3 ] [ 4 5 6 7 ] [ 8 9 ]
//                 vector 0    vector 1    the tail
//
// What to do: let each thread with a whole group load, add and store it as float4; let the thread of the tail do the rest.
// What to look at: the width of the loads in the machine code (LDG.E.128), and the sectors asked for beside those needed.
extern "C" __global__ void add_four(const float* x, const float* y, float* out, int n) {
    int vector = blockIdx.x * blockDim.x + threadIdx.x;
    int first = 4 * vector;  // the first element of this thread's group
    // hole: 8 lines. A whole group in one access; what is left of the last one element by element.
    //| for (int i = first; i < first + 4; i++)
    //|     if (i < n) out[i] = x[i] + y[i];
    if (first + 3 < n) {
        float4 a = reinterpret_cast<const float4*>(x)[vector];
        float4 b = reinterpret_cast<const float4*>(y)[vector];
        float4 sum = make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
        reinterpret_cast<float4*>(out)[vector] = sum;
    } else {
        for (int i = first; i < n; i++) out[i] = x[i] + y[i];
    }
    // end hole
}
