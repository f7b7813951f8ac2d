// 3x3 convolutions of bytes by tensor cores: see kernels/convolution.py.
//
// An implicit matrix product of 16 pixels of a row (m) by 8 outputs (n) over 32 input channels of one tap (k). A block of
// four warps makes 16 columns and 4 * TILES rows of 32 outputs; 32 input channels at a time, with the pixels around them, lie
// in shared memory. Fragments of the kernel are read as they are needed, since all blocks read the same ones. blockIdx.z goes
// through the groups of outputs of each picture.
#include "common.cuh"

constexpr int WARPS = 4, ACROSS = 16, CHUNK = 32, GROUP = 32, TAPS = 9;
constexpr int STEP = CHUNK + 16;  // bytes from a pixel to the next in shared memory: eight of them then lie in all banks
constexpr int PARTS = GROUP / 8;

#ifdef __CUDACC__
// sum [16, 8] += a [16, 32] * b [32, 8]; who holds what: PTX ISA, matrix fragments for mma.m16n8k32
__device__ inline void multiply(int (&sum)[4], const unsigned (&a)[4], uint2 b) {
#if __CUDA_ARCH__ >= 800
    asm("mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+r"(sum[0]), "+r"(sum[1]), "+r"(sum[2]), "+r"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b.x), "r"(b.y));
#else
    const unsigned halves[2] = {b.x, b.y};
#pragma unroll
    for (int half = 0; half < 2; ++half)
#pragma unroll
        for (int rows = 0; rows < 2; ++rows)
            asm("mma.sync.aligned.m8n8k16.row.col.s32.u8.s8.s32 {%0, %1}, {%2}, {%3}, {%0, %1};"
                : "+r"(sum[2 * rows]), "+r"(sum[2 * rows + 1])
                : "r"(a[2 * half + rows]), "r"(halves[half]));
#endif
}
#endif

template <int TILES, int PACE>
__device__ inline void convolve_bytes(
    const byte* __restrict__ input, int rows, int columns, int channels, int doubled, int outside,
    const unsigned* __restrict__ kernel, const float* __restrict__ scale, const float* __restrict__ bias,
    const byte* __restrict__ skip, float skip_scale, byte* __restrict__ output, int out_rows, int out_columns, int outputs) {
    constexpr int DOWN = WARPS * TILES, WIDE = (ACROSS - 1) * PACE + 3, HIGH = (DOWN - 1) * PACE + 3;
    static_assert(WIDE * HIGH * STEP >= ACROSS * DOWN * GROUP, "the painted codes fit where the pixels were");
    alignas(16) __shared__ byte pixels[WIDE * HIGH * STEP];

    const int thread = threadIdx.x, warp = thread / 32, lane = thread % 32, row_of = lane / 4, quarter = lane % 4;
    const int groups = (outputs + GROUP - 1) / GROUP, group = blockIdx.z % groups, picture = blockIdx.z / groups;
    const int left = blockIdx.x * ACROSS, top = blockIdx.y * DOWN;
    input += size_t(picture) * rows * columns * channels;
    const int chunks = (channels + CHUNK - 1) / CHUNK;
    const unsigned blank = outside * 0x01010101u;
    int sum[TILES][PARTS][4] = {};

    for (int chunk = 0; chunk < chunks; ++chunk) {
        __syncthreads();
        // four threads take a pixel, eight channels each; the picture they see may be twice the one in memory
        for (int unit = thread; unit < WIDE * HIGH * 4; unit += WARPS * 32) {
            const int pixel = unit / 4, channel = chunk * CHUNK + unit % 4 * 8;
            const int y = top * PACE - 1 + pixel / WIDE, x = left * PACE - 1 + pixel % WIDE;
            uint2 eight = make_uint2(blank, blank);
            if (y >= 0 && y < rows << doubled && x >= 0 && x < columns << doubled && channel < channels)
                eight = *reinterpret_cast<const uint2*>(
                    input + (size_t(y >> doubled) * columns + (x >> doubled)) * channels + channel);
            *reinterpret_cast<uint2*>(pixels + pixel * STEP + unit % 4 * 8) = eight;
        }
        __syncthreads();
        const uint2* fragments =
            reinterpret_cast<const uint2*>(kernel) + size_t(group * chunks + chunk) * TAPS * PARTS * 32 + lane;
#pragma unroll 1
        for (int tap = 0; tap < TAPS; ++tap) {
            uint2 b[PARTS];
#pragma unroll
            for (int part = 0; part < PARTS; ++part) b[part] = fragments[(tap * PARTS + part) * 32];
#pragma unroll
            for (int tile = 0; tile < TILES; ++tile) {
                const int y = (warp * TILES + tile) * PACE + tap / 3, x = row_of * PACE + tap % 3;
                const byte* first = pixels + (y * WIDE + x) * STEP + quarter * 4;
                const byte* second = first + 8 * PACE * STEP;
                const unsigned a[4] = {
                    *reinterpret_cast<const unsigned*>(first), *reinterpret_cast<const unsigned*>(second),
                    *reinterpret_cast<const unsigned*>(first + 16), *reinterpret_cast<const unsigned*>(second + 16)};
#pragma unroll
                for (int part = 0; part < PARTS; ++part) multiply(sum[tile][part], a, b[part]);
            }
        }
    }
    __syncthreads();
    const size_t there = size_t(picture) * out_rows * out_columns * outputs;
    skip += there, output += there;
#pragma unroll
    for (int part = 0; part < PARTS; ++part) {
        const int channel = part * 8 + quarter * 2, at = group * GROUP + channel;  // and the one after it
        const float factors[2] = {scale[at], scale[at + 1]}, shifts[2] = {bias[at], bias[at + 1]};
#pragma unroll
        for (int tile = 0; tile < TILES; ++tile)
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                const int row = warp * TILES + tile, column = row_of + 8 * half;
                const int y = top + row, x = left + column;
                unsigned added = 0, codes = 0;
                if (skip_scale != 0 && y < out_rows && x < out_columns && at < outputs)
                    added = *reinterpret_cast<const unsigned short*>(skip + (size_t(y) * out_columns + x) * outputs + at);
#pragma unroll
                for (int odd = 0; odd < 2; ++odd) {
                    const float value = sum[tile][part][2 * half + odd] * factors[odd] + shifts[odd];
                    const int code = __float2int_rn(clamp(value + (added >> 8 * odd & 255) * skip_scale, 255.0f));
                    codes |= unsigned(code) << 8 * odd;
                }
                *reinterpret_cast<unsigned short*>(pixels + (row * ACROSS + column) * GROUP + channel) = codes;
            }
    }
    __syncthreads();
    for (int unit = thread; unit < ACROSS * DOWN * 4; unit += WARPS * 32) {
        const int pixel = unit / 4, channel = group * GROUP + unit % 4 * 8;
        const int y = top + pixel / ACROSS, x = left + pixel % ACROSS;
        if (y < out_rows && x < out_columns && channel < outputs)
            *reinterpret_cast<uint2*>(output + (size_t(y) * out_columns + x) * outputs + channel) =
                *reinterpret_cast<const uint2*>(pixels + pixel * GROUP + unit % 4 * 8);
    }
}

extern "C" __global__ void __launch_bounds__(128) convolve(
    const byte* __restrict__ input, int rows, int columns, int channels, int doubled, int outside,
    const unsigned* __restrict__ kernel, const float* __restrict__ scale, const float* __restrict__ bias,
    const byte* __restrict__ skip, float skip_scale, byte* __restrict__ output, int out_rows, int out_columns, int outputs) {
    convolve_bytes<4, 1>(input, rows, columns, channels, doubled, outside, kernel, scale, bias, skip, skip_scale, output,
                         out_rows, out_columns, outputs);
}

// every second pixel of every second row
extern "C" __global__ void __launch_bounds__(128) convolve_halving(
    const byte* __restrict__ input, int rows, int columns, int channels, int doubled, int outside,
    const unsigned* __restrict__ kernel, const float* __restrict__ scale, const float* __restrict__ bias,
    const byte* __restrict__ skip, float skip_scale, byte* __restrict__ output, int out_rows, int out_columns, int outputs) {
    convolve_bytes<2, 2>(input, rows, columns, channels, doubled, outside, kernel, scale, bias, skip, skip_scale, output,
                         out_rows, out_columns, outputs);
}
