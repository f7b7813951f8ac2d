// What is known of the motion: see kernels/reference.py and engine/flow.py. Cells are those of the small luma.
#include "common.cuh"

static_assert(LEVELS <= 5, "a block of 16 x 16 cells makes five levels");

__device__ inline int cells_at(int cells, int level) { return (cells + (1 << level) - 1) >> level; }

// Averages scale x scale pixels to a cell, and cells to the levels of the pyramid, the finest first, one after another in
// `pyramid`. Means are rounded as OpenCV rounds them: of 2 x 2 half up, else half to even. One block makes 16 x 16 cells,
// one thread a cell; those beyond the edge repeat it.
extern "C" __global__ void __launch_bounds__(256) build_pyramid(
    const byte* __restrict__ luma, int pitch, int width, int height, int scale, byte* __restrict__ small, int rows,
    int columns, float* __restrict__ pyramid, int levels) {
    __shared__ int sums[16][17];
    const int x = this_x(), y = this_y();
    const int left = min(x, columns - 1) * scale, top = min(y, rows - 1) * scale;
    int sum = 0;
    for (int j = 0; j < scale; ++j) {
        const byte* line = luma + min(top + j, height - 1) * pitch;
        for (int i = 0; i < scale; ++i) sum += line[min(left + i, width - 1)];
    }
    const int mean = scale == 2 ? (sum + 2) >> 2 : __float2int_rn(sum / float(scale * scale));
    if (x < columns && y < rows) small[y * columns + x] = mean, pyramid[y * columns + x] = mean;
    sums[threadIdx.y][threadIdx.x] = mean;
    for (int level = 1; level < levels; ++level) {
        pyramid += cells_at(rows, level - 1) * cells_at(columns, level - 1);
        const int apart = 1 << (level - 1), side = 1 << level;
        const bool mine = !((threadIdx.x | threadIdx.y) & (side - 1));
        __syncthreads();
        if (!mine) continue;
        int(*corner)[17] = sums + threadIdx.y;
        const int four = corner[0][threadIdx.x] + corner[0][threadIdx.x + apart] + corner[apart][threadIdx.x] +
                         corner[apart][threadIdx.x + apart];
        corner[0][threadIdx.x] = four;
        const int row = y >> level, column = x >> level, across = cells_at(columns, level);
        if (row < cells_at(rows, level) && column < across) pyramid[row * across + column] = four / float(side * side);
    }
}

// See reference_motion.motion_field. `motion` is [2, rows, columns, 2], backward and forward. Each block of 256 threads also adds
// up its confidences and its absolute residuals, into `sums` [2, blocks].
extern "C" __global__ void __launch_bounds__(256) motion_field(
    const byte* __restrict__ small, const byte* __restrict__ previous, const float2* __restrict__ motion, int rows,
    int columns, float scale, float still, float slack, float sure, float unsure, float* __restrict__ field,
    float* __restrict__ residuals, float* __restrict__ sums) {
    const int x = this_x(), y = this_y(), cells = rows * columns;
    const bool inside = x < columns && y < rows;
    float trust = 0, residual = 0;
    if (inside) {
        const int cell = y * columns + x;
        const float2* forward = motion + cells;
        float2 back = motion[cell];
        const float to_x = x + back.x, to_y = y + back.y, last_x = columns - 1.0f, last_y = rows - 1.0f;
        const Between from_x = split(clamp(to_x, last_x), columns), from_y = split(clamp(to_y, last_y), rows);
        const float here = small[cell], unmoved = here - previous[cell];
        const float moved = here - bilinear(previous, columns, from_x, from_y);
        const float length = back.x * back.x + back.y * back.y, limit = still / scale;
        const bool rests = length < limit * limit && fabsf(unmoved) <= fabsf(moved) + slack;
        residual = rests ? unmoved : moved;
        trust = fminf(fmaxf((unsure - fabsf(residual)) / (unsure - sure), 0.0f), 1.0f);
        if (!rests) {
            const float2 *above = forward + from_y.first * columns, *below = forward + from_y.second * columns;
            const float2 a = above[from_x.first], b = above[from_x.second];
            const float2 c = below[from_x.first], d = below[from_x.second];
            const float home_x = mix(mix(a.x, b.x, from_x.weight), mix(c.x, d.x, from_x.weight), from_y.weight);
            const float home_y = mix(mix(a.y, b.y, from_x.weight), mix(c.y, d.y, from_x.weight), from_y.weight);
            const float trip_x = back.x + home_x, trip_y = back.y + home_y;
            const float2 left = motion[y * columns + max(x - 1, 0)], right = motion[y * columns + min(x + 1, columns - 1)];
            const float2 up = motion[max(y - 1, 0) * columns + x], down = motion[min(y + 1, rows - 1) * columns + x];
            const float xx = (right.x - left.x) / 2, xy = (right.y - left.y) / 2;
            const float yx = (down.x - up.x) / 2, yy = (down.y - up.y) / 2;
            const float bend = xx * xx + xy * xy + (yx * yx + yy * yy);
            if (trip_x * trip_x + trip_y * trip_y > 0.02f * (length + (home_x * home_x + home_y * home_y)) + 2 ||
                bend > 0.01f * length + 0.04f || to_x < 0 || to_x > last_x || to_y < 0 || to_y > last_y)
                trust = 0;
        } else
            back.x = back.y = 0;
        field[cell] = back.x * scale;
        field[cells + cell] = back.y * scale;
        field[2 * cells + cell] = trust;
        residuals[cell] = residual;
    }
    const float both[2] = {total<32>(trust), total<32>(fabsf(residual))};
    __shared__ float parts[2][8];
    const int thread = threadIdx.y * blockDim.x + threadIdx.x;
    if (thread % 32 == 0) parts[0][thread / 32] = both[0], parts[1][thread / 32] = both[1];
    __syncthreads();
    if (thread >= 2) return;
    float sum = 0;
    for (int warp = 0; warp < 8; ++warp) sum += parts[thread][warp];
    sums[thread * gridDim.x * gridDim.y + blockIdx.y * gridDim.x + blockIdx.x] = sum;
}

// Whether the scene changed (pacing.is_cut) or there was no frame before: `verdict` is the mean confidence, the mean
// absolute residual in codes, and 1 or 0. One block of 256 threads, always adding in the same order.
extern "C" __global__ void __launch_bounds__(256) judge(
    const float* __restrict__ sums, int blocks, float per_cell, float least_confidence, float most_error,
    const float* __restrict__ settings, float* __restrict__ verdict) {
    __shared__ float parts[2][8];
#pragma unroll
    for (int which = 0; which < 2; ++which) {
        float sum = 0;
        for (int block = threadIdx.x; block < blocks; block += 256) sum += sums[which * blocks + block];
        sum = total<32>(sum);
        if (threadIdx.x % 32 == 0) parts[which][threadIdx.x / 32] = sum;
    }
    __syncthreads();
    if (threadIdx.x) return;
    float means[2] = {0, 0};
    for (int warp = 0; warp < 8; ++warp) means[0] += parts[0][warp], means[1] += parts[1][warp];
    verdict[0] = means[0] * per_cell, verdict[1] = means[1] * per_cell;
    verdict[2] = settings[BEGUN] == 0 || (verdict[0] < least_confidence && verdict[1] > most_error);
}

// the neighbour of an index that cv2's reflecting border gives it
__device__ inline int reflected(int at, int cells) {
    const int inside = at < 0 ? -at : at >= cells ? 2 * cells - 2 - at : at;
    return clamp(inside, cells - 1);
}

// the least of the 3 x 3 confidences around a cell
__device__ inline float eroded(const float* __restrict__ confidence, int rows, int columns, int x, int y) {
    float least = 1;
#pragma unroll
    for (int j = -1; j <= 1; ++j)
#pragma unroll
        for (int i = -1; i <= 1; ++i)
            least = fminf(least, confidence[clamp(y + j, rows - 1) * columns + clamp(x + i, columns - 1)]);
    return least;
}

// The field as paint is carried along it: none at a cut; confidence half eroded and blurred (engine/flow.py), less what was stale
// (reference_motion.discount). Where the network does not run, `next_stale` is what the next frame cannot be sure of.
extern "C" __global__ void settle_field(
    const float* __restrict__ raw, int rows, int columns, float scale, const float* __restrict__ verdict,
    const float* __restrict__ stale, int fresh, float* __restrict__ field, float* __restrict__ next_stale) {
    const int x = this_x(), y = this_y(), cells = rows * columns, cell = y * columns + x;
    if (x >= columns || y >= rows) return;
    const bool cut = verdict[2] != 0;
    float move_x = 0, move_y = 0, confidence = 0;
    if (!cut) {
#pragma unroll
        for (int j = -1; j <= 1; ++j)
#pragma unroll
            for (int i = -1; i <= 1; ++i) {
                const int column = reflected(x + i, columns), row = reflected(y + j, rows);
                confidence += eroded(raw + 2 * cells, rows, columns, column, row) + raw[2 * cells + row * columns + column];
            }
        move_x = raw[cell], move_y = raw[cells + cell];
        const Between from_x = split(clamp(x + move_x / scale, columns - 1.0f), columns);
        const Between from_y = split(clamp(y + move_y / scale, rows - 1.0f), rows);
        confidence = confidence / 18 * (1 - bilinear(stale, columns, from_x, from_y));
    }
    field[cell] = move_x;
    field[cells + cell] = move_y;
    field[2 * cells + cell] = confidence;
    next_stale[cell] = fresh ? 0.0f : 1 - confidence;
}
