// The texture that the network is given beside the picture: see kernels/reference.py.
#include "common.cuh"

constexpr int SPAN = 32, TALL = 8, REACH = 4;  // pixels of a block, one a thread; pixels or tiles that a blur reaches
static_assert(TILE == 4 && SEEN == CHANNELS + TILE * TILE, "texture lies behind the colours, one sample for one of luma");

// the narrow blur less the broad one, of the plane with its margin, and the mean of its square in every tile
extern "C" __global__ void find_detail(
    const byte* __restrict__ luma, int luma_pitch, int width, int height, float* __restrict__ detail,
    float* __restrict__ energy, int rows, int columns) {
    __shared__ int narrow[TALL + 2 * REACH][SPAN], broad[TALL + 2 * REACH][SPAN];
    __shared__ float squares[TALL][SPAN];
    const int left = blockIdx.x * SPAN, top = blockIdx.y * TALL, x = threadIdx.x;
    for (int line = threadIdx.y; line < TALL + 2 * REACH; line += TALL) {
        const byte* row = luma + clamp(top + line - REACH - MARGIN, height - 1) * luma_pitch;
        int sample[2 * REACH + 1];
#pragma unroll
        for (int tap = 0; tap <= 2 * REACH; ++tap) sample[tap] = row[clamp(left + x + tap - REACH - MARGIN, width - 1)];
        narrow[line][x] = sample[3] + 2 * sample[4] + sample[5];
        broad[line][x] = sample[0] + sample[8] + 2 * (sample[1] + sample[7]) + 3 * (sample[2] + sample[6]) +
                         4 * (sample[3] + sample[5]) + 5 * sample[4];
    }
    __syncthreads();
    const int y = threadIdx.y;
    const int near = narrow[y + 3][x] + 2 * narrow[y + 4][x] + narrow[y + 5][x];
    const int far = broad[y][x] + broad[y + 8][x] + 2 * (broad[y + 1][x] + broad[y + 7][x]) +
                    3 * (broad[y + 2][x] + broad[y + 6][x]) + 4 * (broad[y + 3][x] + broad[y + 5][x]) + 5 * broad[y + 4][x];
    const float found = near * (1.0f / 16) - far * (1.0f / 625);
    squares[y][x] = found * found;
    if (left + x < columns * TILE && top + y < rows * TILE) detail[size_t(top + y) * columns * TILE + left + x] = found;
    __syncthreads();
    const int row = top / TILE + y, column = left / TILE + x;
    if (y >= TALL / TILE || x >= SPAN / TILE || row >= rows || column >= columns) return;
    float sum = 0;
#pragma unroll
    for (int part = 0; part < TILE * TILE; ++part) sum += squares[y * TILE + part / TILE][x * TILE + part % TILE];
    energy[row * columns + column] = sum * (1.0f / (TILE * TILE));
}

// what the detail of every tile is to be multiplied by; one thread a tile
extern "C" __global__ void measure_detail(
    const float* __restrict__ energy, float* __restrict__ gain, int rows, int columns) {
    const int column = this_x(), row = this_y();
    if (column >= columns || row >= rows) return;
    constexpr float BINOMIAL[2 * REACH + 1] = {1, 8, 28, 56, 70, 56, 28, 8, 1};
    float sum = 0;
#pragma unroll
    for (int down = 0; down <= 2 * REACH; ++down) {
        const float* line = energy + clamp(row + down - REACH, rows - 1) * columns;
        float across = 0;
#pragma unroll
        for (int tap = 0; tap <= 2 * REACH; ++tap) across += BINOMIAL[tap] * line[clamp(column + tap - REACH, columns - 1)];
        sum += BINOMIAL[down] * across;
    }
    gain[row * columns + column] = 1 / sqrtf(sum * (1.0f / 65536) + FAINT * FAINT);
}

// the detail times its gain, which is interpolated between the middles of tiles; one thread a tile
extern "C" __global__ void write_texture(
    const float* __restrict__ detail, const float* __restrict__ gain, byte* __restrict__ tiles, int rows, int columns) {
    const int column = this_x(), row = this_y();
    if (column >= columns || row >= rows) return;
    float around[3][3];
#pragma unroll
    for (int place = 0; place < 9; ++place) {
        const int y = clamp(row + place / 3 - 1, rows - 1), x = clamp(column + place % 3 - 1, columns - 1);
        around[place / 3][place % 3] = gain[y * columns + x];
    }
    constexpr float SHARES[TILE] = {0.375f, 0.125f, 0.125f, 0.375f};  // of the neighbouring tile, at a pixel's place
    unsigned word[TILE];
#pragma unroll
    for (int part = 0; part < TILE; ++part) {
        const Four<float> samples = four(detail + (size_t(row * TILE + part) * columns + column) * TILE);
        float between[3];
#pragma unroll
        for (int x = 0; x < 3; ++x)
            between[x] = around[1][x] + SHARES[part] * (around[part < 2 ? 0 : 2][x] - around[1][x]);
        word[part] = 0;
#pragma unroll
        for (int k = 0; k < TILE; ++k) {
            const float here = between[1] + SHARES[k] * (between[k < 2 ? 0 : 2] - between[1]);
            const float code = fminf(fmaxf(samples.at[k] * here, -STRONGEST), STRONGEST) * (126 / STRONGEST) + 128;
            word[part] |= unsigned(__float2int_rn(code)) << 8 * k;
        }
    }
    uint2* out = reinterpret_cast<uint2*>(tiles + size_t(row * columns + column) * SEEN + CHANNELS);
    out[0] = make_uint2(word[0], word[1]);
    out[1] = make_uint2(word[2], word[3]);
}
