/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "analytics/random.h"

static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t rotate(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

struct cx_random cx_random_seed(uint64_t seed, uint64_t stream)
{
    /* The stream is hashed first: (seed, stream) and (seed + 1, stream − 1) must not meet. */
    uint64_t hashed = stream;
    uint64_t state = seed ^ splitmix(&hashed);
    struct cx_random random;
    for (int i = 0; i < 4; i++)
        random.s[i] = splitmix(&state);
    return random;
}

uint64_t cx_random_next(struct cx_random *random)
{
    uint64_t *s = random->s;
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

uint32_t cx_random_below(struct cx_random *random, uint32_t n)
{
    /* Lemire (2019): the high word of a product; the few low words that would bias it are redrawn.
     */
    uint64_t product = (cx_random_next(random) >> 32) * n;
    if ((uint32_t)product < n) {
        uint32_t threshold = (uint32_t)-n % n;
        while ((uint32_t)product < threshold)
            product = (cx_random_next(random) >> 32) * n;
    }
    return (uint32_t)(product >> 32);
}

double cx_random_unit(struct cx_random *random)
{
    return (double)(cx_random_next(random) >> 11) * 0x1p-53;
}

bool cx_random_chance(struct cx_random *random, double probability)
{
    return cx_random_unit(random) < probability;
}

double cx_random_normal(struct cx_random *random)
{
    int64_t sum = 0; /* of twelve 16-bit uniforms: mean 12 × 32767.5, variance 2^32 − 1 */
    for (int i = 0; i < 3; i++) {
        uint64_t bits = cx_random_next(random);
        sum += (int64_t)((bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) +
                         (bits >> 48));
    }
    return (double)(sum - 393210) * 0x1p-16;
}

double cx_random_exponential(struct cx_random *random)
{
    /* A run of falling uniforms has odd length with probability e^-first: accept `first`, else one
     * more whole unit of time has passed. */
    for (int whole = 0;; whole++) {
        double first = cx_random_unit(random), last = first;
        bool odd = true;
        for (;;) {
            double next = cx_random_unit(random);
            if (next >= last)
                break;
            last = next;
            odd = !odd;
        }
        if (odd)
            return (double)whole + first;
    }
}

uint32_t cx_random_pick(struct cx_random *random, const uint64_t *cumulative, uint32_t count)
{
    uint64_t total = cumulative[count - 1];
    uint64_t at = (uint64_t)(((unsigned __int128)cx_random_next(random) * total) >> 64);
    uint32_t low = 0, high = count - 1;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (cumulative[middle] > at)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}
