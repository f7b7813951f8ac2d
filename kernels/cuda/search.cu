// Dense inverse search: see kernels/dis.py, whose order of additions this keeps. Both directions run at once, the second in
// blockIdx.z = 1 with the pictures changed. `patches` is [2, 3, m, n]: motion across, down, and its cost.
#include "common.cuh"

static_assert(PATCH == 8, "8 lanes share a patch, one a row");
constexpr int PIXELS = PATCH * PATCH;

struct Level {
    const float *__restrict__ here, *__restrict__ there;
    int rows, columns;

    __device__ Level(const float* one, const float* other, int rows, int columns)
        : here(blockIdx.z ? other : one), there(blockIdx.z ? one : other), rows(rows), columns(columns) {}
};

__device__ inline int patches_along(int cells) { return (cells - PATCH + STRIDE - 1) / STRIDE + 1; }

__device__ inline int begin_of(int patch, int cells) { return min(patch * STRIDE, cells - PATCH); }

// `plane` at (x, y) plus a motion, from inside of it
__device__ inline float sample(const float* __restrict__ plane, int rows, int columns, int x, int y, float2 motion) {
    return bilinear(plane, columns, split(clamp(x + motion.x, columns - 1.0f), columns),
                    split(clamp(y + motion.y, rows - 1.0f), rows));
}

// the motion at a cell, out of all patches that cover it
__device__ inline float2 gather(const Level& level, const float* __restrict__ patches, int x, int y) {
    const int m = patches_along(level.rows), n = patches_along(level.columns), plane = m * n;
    const int row = max(y - (PATCH - STRIDE), 0) / STRIDE, column = max(x - (PATCH - STRIDE), 0) / STRIDE;
    const float here = level.here[y * level.columns + x];
    float2 total = make_float2(0, 0);
    float weights = 0;
    for (int i = row; i < min(row + 3, m); ++i)
        for (int j = column; j < min(column + 3, n); ++j) {
            // the last patch of a row or column may begin before its turn, never after
            if (begin_of(i, level.rows) > y || begin_of(j, level.columns) > x) continue;
            const float2 motion = make_float2(patches[i * n + j], patches[plane + i * n + j]);
            const float difference = sample(level.there, level.rows, level.columns, x, y, motion) - here;
            const float weight = 1 / fmaxf(fabsf(difference), 1.0f);
            total.x += weight * motion.x, total.y += weight * motion.y, weights += weight;
        }
    return make_float2(total.x / weights, total.y / weights);
}

// A patch, one row of which this lane holds.
struct Patch {
    int x, y, lane;
    float shown[PATCH], across[PATCH], down[PATCH];
    float xx, xy, yy;

    __device__ Patch(const Level& level, int x, int y, int lane) : x(x), y(y), lane(lane) {
        const int last = level.columns - 1;
        const float* line = level.here + (y + lane) * level.columns;
        const float* above = level.here + max(y + lane - 1, 0) * level.columns;
        const float* below = level.here + min(y + lane + 1, level.rows - 1) * level.columns;
        float sum_x = 0, sum_y = 0;
#pragma unroll
        for (int k = 0; k < PATCH; ++k) {
            shown[k] = line[x + k];
            across[k] = 0.5f * (line[min(x + k + 1, last)] - line[max(x + k - 1, 0)]);
            down[k] = 0.5f * (below[x + k] - above[x + k]);
            sum_x += across[k], sum_y += down[k];
        }
        const float mean_x = total<PATCH>(sum_x) / PIXELS, mean_y = total<PATCH>(sum_y) / PIXELS;
        xx = xy = yy = 0;
#pragma unroll
        for (int k = 0; k < PATCH; ++k) {
            across[k] -= mean_x, down[k] -= mean_y;
            xx += across[k] * across[k], xy += across[k] * down[k], yy += down[k] * down[k];
        }
        xx = total<PATCH>(xx) + RIDGE, xy = total<PATCH>(xy), yy = total<PATCH>(yy) + RIDGE;
    }

    // the cost at a motion and, where `pull` is asked for, the sums of difference times gradient
    __device__ float evaluate(const Level& level, float2 motion, float2* pull) const {
        const float from_y = fminf(fmaxf(y + motion.y, -float(PATCH)), float(level.rows));
        const float from_x = fminf(fmaxf(x + motion.x, -float(PATCH)), float(level.columns));
        const float top = floorf(from_y), left = floorf(from_x), t = from_y - top, u = from_x - left;
        const float* upper = level.there + clamp(int(top) + lane, level.rows - 1) * level.columns;
        const float* lower = level.there + clamp(int(top) + lane + 1, level.rows - 1) * level.columns;
        int place = clamp(int(left), level.columns - 1);
        float above = upper[place], below = lower[place], sum = 0, squares = 0, pull_x = 0, pull_y = 0;
#pragma unroll
        for (int k = 0; k < PATCH; ++k) {
            place = clamp(int(left) + k + 1, level.columns - 1);
            const float next_above = upper[place], next_below = lower[place];
            const float d = mix(mix(above, next_above, u), mix(below, next_below, u), t) - shown[k];
            above = next_above, below = next_below;
            sum += d, squares += d * d, pull_x += d * across[k], pull_y += d * down[k];
        }
        sum = total<PATCH>(sum);
        if (pull) *pull = make_float2(total<PATCH>(pull_x), total<PATCH>(pull_y));
        return total<PATCH>(squares) - sum * sum / PIXELS;
    }

    // Gauss-Newton from a motion while the cost falls; returns the cost of what is found. All lanes of the warp take part to
    // the end, because they add up together.
    __device__ float descend(const Level& level, float2& motion, int evaluations) const {
        const float scale = 1 / (xx * yy - xy * xy);
        const float2 start = motion;
        float2 at = motion;
        float cost = 3e38f, start_cost = 0;
        bool going = true;
        for (int evaluation = 0; evaluation < evaluations; ++evaluation) {
            float2 pull;
            const float now = evaluate(level, at, &pull);
            if (!evaluation) start_cost = now;
            going = going && now < cost;
            if (!going) continue;
            motion = at, cost = now;
            at.x -= (yy * pull.x - xy * pull.y) * scale, at.y -= (xx * pull.y - xy * pull.x) * scale;
        }
        const float moved_x = motion.x - start.x, moved_y = motion.y - start.y;
        if (moved_x * moved_x + moved_y * moved_y <= PIXELS) return cost;
        motion = start;
        return start_cost;
    }
};

// where this thread's patch lies: 8 lanes a patch, 16 patches of one row a block; those beyond the last do its work again
struct Place {
    int row, column, lane, m, n;
    bool mine;

    __device__ Place(const Level& level)
        : row(blockIdx.y), lane(threadIdx.x % PATCH), m(patches_along(level.rows)), n(patches_along(level.columns)) {
        const int wanted = blockIdx.x * (blockDim.x / PATCH) + threadIdx.x / PATCH;
        column = min(wanted, n - 1);
        mine = wanted < n && lane == 0;
    }

    __device__ Patch patch(const Level& level) const {
        return Patch(level, begin_of(column, level.columns), begin_of(row, level.rows), lane);
    }

    __device__ void store(float* __restrict__ patches, float2 motion, float cost) const {
        if (!mine) return;
        float* found = patches + blockIdx.z * 3 * m * n + row * n + column;
        found[0] = motion.x, found[m * n] = motion.y, found[2 * m * n] = cost;
    }
};

// The first descent at a level, from twice what was found at the coarser one, or from rest where `coarser_rows` is 0.
extern "C" __global__ void __launch_bounds__(128) search_patches(
    const float* __restrict__ one, const float* __restrict__ other, int rows, int columns,
    const float* __restrict__ coarser_one, const float* __restrict__ coarser_other, int coarser_rows, int coarser_columns,
    const float* __restrict__ coarser_patches, float* __restrict__ patches) {
    const Level level(one, other, rows, columns);
    const Place place(level);
    const Patch patch = place.patch(level);
    float2 motion = make_float2(0, 0);
    if (coarser_rows) {
        const Level coarser(coarser_one, coarser_other, coarser_rows, coarser_columns);
        const float* found = coarser_patches + blockIdx.z * 3 * patches_along(coarser_rows) * patches_along(coarser_columns);
        motion = gather(coarser, found, (patch.x + PATCH / 2) / 2, (patch.y + PATCH / 2) / 2);
        motion.x *= 2, motion.y *= 2;
    }
    const float cost = patch.descend(level, motion, FIRST);
    place.store(patches, motion, cost);
}

// Asking around: the best motion of a patch's own and its neighbours', and on from there.
extern "C" __global__ void __launch_bounds__(128) ask_around(
    const float* __restrict__ one, const float* __restrict__ other, int rows, int columns, const float* __restrict__ patches,
    float* __restrict__ next) {
    const Level level(one, other, rows, columns);
    const Place place(level);
    const Patch patch = place.patch(level);
    const int m = place.m, n = place.n;
    const float* found = patches + blockIdx.z * 3 * m * n;
    const float* own = found + place.row * n + place.column;
    float2 motion = make_float2(own[0], own[m * n]);
    float cost = own[2 * m * n];
#pragma unroll 1
    for (int turn = 0; turn < 8; ++turn) {
        const int reach = (turn < 4 ? NEAR : FAR) * (turn % 2 ? 1 : -1);
        const int row = clamp(place.row + (turn % 4 < 2 ? reach : 0), m - 1);
        const int column = clamp(place.column + (turn % 4 < 2 ? 0 : reach), n - 1);
        const float2 offered = make_float2(found[row * n + column], found[m * n + row * n + column]);
        const float asked = patch.evaluate(level, offered, nullptr);
        if (asked < cost) motion = offered, cost = asked;
    }
    cost = patch.descend(level, motion, AGAIN);
    place.store(next, motion, cost);
}

// The dense field [2, rows, columns, 2] out of the finest patches.
extern "C" __global__ void gather_motion(
    const float* __restrict__ one, const float* __restrict__ other, int rows, int columns, const float* __restrict__ patches,
    float2* __restrict__ motion) {
    const Level level(one, other, rows, columns);
    const int x = this_x(), y = this_y();
    if (x >= columns || y >= rows) return;
    const float* found = patches + blockIdx.z * 3 * patches_along(rows) * patches_along(columns);
    motion[(blockIdx.z * rows + y) * columns + x] = gather(level, found, x, y);
}

// The refinement's system around `motion`: [2, 6, rows, columns] of xx, xy, yy, right side x, y, and the looseness.
extern "C" __global__ void linearise(
    const float* __restrict__ one, const float* __restrict__ other, int rows, int columns, const float2* __restrict__ motion,
    float* __restrict__ system) {
    const Level level(one, other, rows, columns);
    const int x = this_x(), y = this_y(), cells = rows * columns, cell = y * columns + x;
    if (x >= columns || y >= rows) return;
    motion += blockIdx.z * cells;
    const int left = y * columns + max(x - 1, 0), right = y * columns + min(x + 1, columns - 1);
    const int above = max(y - 1, 0) * columns + x, below = min(y + 1, rows - 1) * columns + x;
    const float gx = 0.5f * (level.here[right] - level.here[left]), gy = 0.5f * (level.here[below] - level.here[above]);
    const float difference = sample(level.there, rows, columns, x, y, motion[cell]) - level.here[cell];
    const float normal = 1 / (gx * gx + gy * gy + FLAT);
    const float weight = FIDELITY * normal / sqrtf(difference * difference * normal + ROUGH);
    const float towards = gx * motion[cell].x + gy * motion[cell].y - difference;
    const float xx = 0.5f * (motion[right].x - motion[left].x), xy = 0.5f * (motion[right].y - motion[left].y);
    const float yx = 0.5f * (motion[below].x - motion[above].x), yy = 0.5f * (motion[below].y - motion[above].y);
    const float bend = xx * xx + xy * xy + yx * yx + yy * yy;
    float* out = system + blockIdx.z * 6 * cells + cell;
    out[0] = weight * gx * gx, out[cells] = weight * gx * gy, out[2 * cells] = weight * gy * gy;
    out[3 * cells] = weight * gx * towards, out[4 * cells] = weight * gy * towards;
    out[5 * cells] = SMOOTHNESS / sqrtf(bend + ROUGH);
}

// Half a sweep of over-relaxation, over the cells of one colour of a chequerboard, in place: they only read the others.
extern "C" __global__ void sweep(const float* __restrict__ system, int rows, int columns, int colour, float2* motion) {
    const int y = this_y(), x = 2 * this_x() + ((y + colour) & 1), cells = rows * columns, cell = y * columns + x;
    if (x >= columns || y >= rows) return;
    system += blockIdx.z * 6 * cells + cell;
    motion += blockIdx.z * cells + cell;
    const float* loose = system + 5 * cells;
    const int steps[4] = {x > 0 ? -1 : 0, x < columns - 1 ? 1 : 0, y > 0 ? -columns : 0, y < rows - 1 ? columns : 0};
    float2 towards = make_float2(0, 0);
    float held = 0;
#pragma unroll
    for (int side = 0; side < 4; ++side) {
        const float pull = steps[side] ? 0.5f * (loose[0] + loose[steps[side]]) : 0.0f;
        const float2 there = motion[steps[side]];
        towards.x += pull * there.x, towards.y += pull * there.y, held += pull;
    }
    const float xx = system[0] + held, xy = system[cells], yy = system[2 * cells] + held;
    const float to_x = system[3 * cells] + towards.x, to_y = system[4 * cells] + towards.y, scale = 1 / (xx * yy - xy * xy);
    const float2 now = motion[0];
    motion[0] = make_float2(now.x + OVER_RELAXATION * ((yy * to_x - xy * to_y) * scale - now.x),
                            now.y + OVER_RELAXATION * ((xx * to_y - xy * to_x) * scale - now.y));
}
